// A new export is left out, the function that calls the exported one is changed all the same.
// expect: changed f
// expect: new fresh
// expect: note dropped-export __ksymtab_fresh
#include "kernel.h"
#ifdef PATCHED
noinline int fresh(int x) { return x + (int)get(); }
static const struct symbol { void *value; } __ksymtab_fresh __used __section("___ksymtab+fresh") = { fresh };
int f(int x) { return fresh(x) + 1; }
#else
int f(int x) { return x; }
#endif
