// A compound literal at file scope has no name of its own (clang: .L__unnamed or .compoundliteral).
// expect: changed f
#include "kernel.h"
struct item { const char *name; int *values; };
struct item items[2] = { { "first", (int[]){ 1, 2, 3 } }, { "second", (int[]){ 4, 5 } } };
int f(int x) {
#ifdef PATCHED
	x++;
#endif
	return items[x & 1].values[0];
}
