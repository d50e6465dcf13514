// Another external variable, the same offset.
// expect: changed f
#include "kernel.h"
extern int one, two;
int f(int x) {
#ifdef PATCHED
	return two + x;
#else
	return one + x;
#endif
}
int g(int x) { return one - two; }
