// A function becomes a clone: both it and its callers differ.
// compilers: gcc
// expect: changed f g
// expect: new helper.isra
// expect: removed helper
#include "kernel.h"
struct s { int a, b, c; };
static noinline int helper(struct s *s) {
	int b = s->b;
	printk("%d\n", b);
#ifndef PATCHED
	use(s);
#endif
	return b * (int)get();
}
int f(struct s *s) { return helper(s) + helper(s + 1); }
int g(struct s *s) { return helper(s + 2); }
