// The same constants in another order of the pool.
// compilers: gcc clang
// flags: -msse2 -mhard-float
// expect: removed first
#include "kernel.h"
typedef int v4 __attribute__((vector_size(16)));
#ifndef PATCHED
void first(v4 *p) { *p ^= (v4){ 7, 7, 7, 9 }; *p += (v4){ 21, 22, 23, 24 }; }
#endif
void f(v4 *p) { *p += (v4){ 1, 2, 3, 4 }; }
void g(v4 *p) { *p += (v4){ 1, 2, 3, 4 }; *p ^= (v4){ 7, 7, 7, 9 }; }
