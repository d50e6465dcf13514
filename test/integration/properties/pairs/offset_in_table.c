// A pointer into the middle of constant data of the function.
// expect: changed f
#include "kernel.h"
#ifdef PATCHED
#define AT 3
#else
#define AT 2
#endif
static const long table[6] = { 5, 4, 3, 2, 1, 0 };
void f(void) { use(&table[AT]); }
void g(void) { use(&table[2]); use(table); }
