// New data that points to a function that is replaced, and to one that is not.
// expect: changed f handler
// expect: klp handler other
// expect: data ops
#include "kernel.h"
struct ops { int (*one)(int), (*two)(int); };
void install(const struct ops *ops);
static noinline int handler(int x) {
#ifdef PATCHED
	x++;
#endif
	return x + (int)get();
}
static noinline int other(int x) { return x - (int)get(); }
#ifdef PATCHED
static struct ops ops = { handler, other };
#endif
int f(int x) {
#ifdef PATCHED
	install(&ops);
	ops.one = NULL;
#endif
	return handler(x) * other(x);
}
