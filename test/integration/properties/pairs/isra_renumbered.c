// Clones whose numbers change with what is in front of them.
// compilers: gcc
// expect: removed first helper0.constprop.0.isra
#include "kernel.h"
struct s { int a, b, c; };
#ifndef PATCHED
static noinline int helper0(struct s *s, int unused) { printk("%d\n", s->a); return (int)get(); }
int first(struct s *s) { return helper0(s, 0) + helper0(s + 1, 0); }
#endif
static noinline int helper(struct s *s, int unused) { printk("%d\n", s->b); return s->b * (int)get(); }
int f(struct s *s) { return helper(s, 1) + helper(s + 1, 5); }
int g(struct s *s) { return helper(s + 2, 3); }
