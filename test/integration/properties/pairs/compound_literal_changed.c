// The content of one: data of the running kernel.
// expect(gcc): refused changed-data __compound_literal
// or-refused: changed-data items
// expect(clang): refused changed-data .compoundliteral
#include "kernel.h"
struct item { const char *name; int *values; };
#ifdef PATCHED
#define THREE 33
#else
#define THREE 3
#endif
struct item items[2] = { { "first", (int[]){ 1, 2, THREE } }, { "second", (int[]){ 4, 5 } } };
int f(int x) { return items[x & 1].values[0]; }
