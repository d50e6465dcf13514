// A variable's pointer to the middle of another one.
// expect: refused changed-data pointer
#include "kernel.h"
int table[6] = { 5, 4, 3, 2, 1, 0 };
#ifdef PATCHED
int *pointer = &table[3];
#else
int *pointer = &table[2];
#endif
int f(void) { return *pointer; }
