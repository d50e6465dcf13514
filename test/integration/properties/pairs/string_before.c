// An index that counts from 1 makes a reference in front of the string.
// expect: changed f
// expect: string abcdef
#include "kernel.h"
int f(int x) {
	use("another string in front");
#ifdef PATCHED
	x++;
#endif
	return "abcdef"[x - 1];
}
int g(int x) { return "abcdef"[x - 3]; }
