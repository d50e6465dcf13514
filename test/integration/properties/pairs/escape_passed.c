// Passed to a call it may be kept: a warning, not a refusal. A function that exists is meant as the original.
// expect: changed f g
// expect: new fresh
// expect: note escaping-address f
#include "kernel.h"
void later(void (*fn)(int), int);
void existing(int x) { printk("%d\n", x); }
#ifdef PATCHED
static noinline void fresh(int x) { printk("fresh %d\n", x); }
#define N 2
#else
void old(int x);
#define fresh old
#define N 1
#endif
void f(int x) { later(fresh, x); }
void g(struct page **p, int x) { *(void **)p = existing; later(existing, x + N); }
