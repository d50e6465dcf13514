// Prefixes count: lock, rep, segment.
// compilers: gcc clang
// expect: changed f g h
#include "kernel.h"
#ifdef PATCHED
#define LOCK "lock "
#define REP "rep "
#define SEG "%%gs:"
#else
#define LOCK ""
#define REP ""
#define SEG "%%ds:"
#endif
void f(int *p) { asm volatile(LOCK "incl %0" : "+m"(*p)); }
void g(int *p) { asm volatile(REP "movsb" : : "D"(p) : "memory"); }
void h(int *p) { asm volatile("incl " SEG "(%0)" : : "r"(p) : "memory"); }
void same(int *p) { asm volatile("lock incl %0" : "+m"(*p)); }
