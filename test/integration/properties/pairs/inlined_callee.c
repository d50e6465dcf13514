// The change is in a function that exists only inline: its users change.
// expect: changed f g
#include "kernel.h"
static always_inline int check(int x) {
#ifdef PATCHED
	return x < 0 || x > 100;
#else
	return x > 100;
#endif
}
int f(int x) { if (check(x)) return -1; return (int)get(); }
int g(int x) { while (!check(x)) x += (int)get(); return x; }
int h(int x) { return x + (int)get(); }
