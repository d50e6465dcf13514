// A function of inline assembly, without type and size.
// compilers: gcc clang
// expect: changed f
// or-refused: unsupported-section f
// or-refused: not-traceable helper
#include "kernel.h"
#ifdef PATCHED
#define VALUE "4"
#else
#define VALUE "3"
#endif
asm(".pushsection .text\nhelper: movl $" VALUE ", %eax\nret\n.popsection");
int f(int x) { asm volatile("call helper" : "=a"(x)); return x; }
