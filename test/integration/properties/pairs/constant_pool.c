// Constants that the compiler keeps in .rodata.cst16 and .cst8.
// compilers: gcc clang
// flags: -msse2 -mhard-float
// expect: changed f
#include "kernel.h"
typedef int v4 __attribute__((vector_size(16)));
#ifdef PATCHED
#define LAST 5
#else
#define LAST 4
#endif
void f(v4 *p) { *p += (v4){ 1, 2, 3, LAST }; }
void g(v4 *p) { *p += (v4){ 1, 2, 3, 4 }; *p ^= (v4){ 7, 7, 7, 9 }; }
double h(double x) { return x * 3.25; }
