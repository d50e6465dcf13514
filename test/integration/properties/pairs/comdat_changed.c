// The same one changed.
// compilers: gcc clang
// expect: changed helper
#include "kernel.h"
#ifdef PATCHED
#define VALUE "4"
#else
#define VALUE "3"
#endif
asm(".section .text.helper,\"axG\",@progbits,helper,comdat\n.weak helper\n.type helper, @function\n"
    "helper: call __fentry__\nmovl $" VALUE ", %eax\nret\n.size helper, . - helper\n.previous");
int helper(void);
int user(int x) { return helper() + x; }
