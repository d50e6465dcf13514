// A new static function that a changed one calls; another new one that nobody uses is not carried.
// expect: changed f
// expect: new helper
#include "kernel.h"
#ifdef PATCHED
static noinline int helper(int x) { return x * (int)get(); }
int nobody(int x) { return x + 5; }
#endif
int f(int x) {
#ifdef PATCHED
	x = helper(x);
#endif
	return x + (int)get();
}
