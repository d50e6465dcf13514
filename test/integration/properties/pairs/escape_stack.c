// On the stack it does not outlive the call that it is made for; nor does a string matter.
// expect: changed f
// expect: new fresh
// expect(gcc): note escaping-address f
// For ppc64le the address comes from a constant that is copied.
// expect(ppc64): changed f
#include "kernel.h"
struct walk { int (*fn)(int); const char *name; };
int walk_all(struct walk *);
#ifdef PATCHED
static noinline int fresh(int x) { printk("fresh %d\n", x); return x; }
#else
int old(int x);
#define fresh old
#endif
int f(void)
{
	struct walk walk = { fresh, "walk" };
	return walk_all(&walk);
}
