// A string in a function.
// expect: changed f
#include "kernel.h"
#ifdef PATCHED
#define TEXT "new text\n"
#else
#define TEXT "old text\n"
#endif
void f(void) { printk(TEXT); }
void g(void) { printk("same\n"); }
