// A new variable in front of others in a shared section moves them, and nothing else.
// expect: changed f
// expect: klp second third
// expect: data fresh
#include "kernel.h"
#ifdef PATCHED
static int fresh __read_mostly = 9;
#endif
static int second __read_mostly = 2;
static int third __read_mostly = 3;
int f(int x) {
#ifdef PATCHED
	x += READ_ONCE(fresh);
#endif
	return x > READ_ONCE(second) + READ_ONCE(third);
}
int g(int x) { second = x; third = x; return READ_ONCE(second) + READ_ONCE(third); }
