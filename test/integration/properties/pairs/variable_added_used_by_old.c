// A new global takes a reference that was another variable's: same code, other data.
// expect: changed f
// expect: data fresh
#include "kernel.h"
int state;
#ifdef PATCHED
int fresh;
#endif
int f(int x) {
#ifdef PATCHED
	fresh += x;
#else
	state += x;
#endif
	return (int)get();
}
int g(int x) { return state; }
