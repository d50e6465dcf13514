// A pair of pointers, start and end, into one string: they must stay one string.
// expect: changed f
// expect: string abcdef
#include "kernel.h"
void range(const char *from, const char *to);
int f(int x) {
#ifdef PATCHED
	x++;
#endif
	range("abcdef", &"abcdef"[7]);
	use("next one");
	return x;
}
