// The address of a new function in a live object dangles when the livepatch is unloaded.
// expect: changed f
// expect: new fresh
// expect: note escaping-address f
#include "kernel.h"
struct work { void (*fn)(struct work *); };
void enqueue(struct work *);
#ifdef PATCHED
static noinline void fresh(struct work *w) { printk("fresh %p\n", w); }
#else
void old(struct work *w);
#define fresh old
#endif
void f(struct work *w) { w->fn = fresh; enqueue(w); }
