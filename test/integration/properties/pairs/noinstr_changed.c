// Code that must not be traced has no site to redirect it at.
// expect: refused not-traceable entry
#include "kernel.h"
int notrace __section(".noinstr.text") entry(int x) {
#ifdef PATCHED
	x++;
#endif
	return x + (int)get();
}
int f(int x) { return entry(x); }
