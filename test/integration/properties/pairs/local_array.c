// An initialised array on the stack: gcc keeps it in .rodata or in instructions, clang in .L__const.f.table.
// expect(gcc): changed f
// expect(clang): changed f
// For ppc64le all constants without a name are one .rodata: who uses any of them is carried.
// expect(ppc64): changed f g
#include "kernel.h"
#ifdef PATCHED
#define LAST 80
#else
#define LAST 79
#endif
int f(int x) {
	int table[20] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, LAST };
	use(table);
	return table[x];
}
int g(int x) {
	int table[20] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20 };
	use(table);
	return table[x];
}
