// A function that is to be redirected is not in the shipped kernel's symbol table.
// shipped-flags: -DRENAMED
// expect: refused missing-symbol f
// expect: refused identity-mismatch f
#include "../pairs/kernel.h"
#ifdef RENAMED
#define f other
#endif
#ifdef PATCHED
int f(int x) { return x + (int)get(); }
#else
int f(int x) { return x - (int)get(); }
#endif
