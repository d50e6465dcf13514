// A table of functions on the stack: each entry counts.
// expect: changed f
#include "kernel.h"
struct ops { void (*a)(void); void (*b)(void); long c; };
void one(void), two(void), three(void);
static noinline void s1(void) { one(); }
static noinline void s2(void) { two(); }
static noinline void s3(void) { three(); }
void take(struct ops *);
void user(void) { s1(); s2(); s3(); }
void f(void)
{
#ifdef PATCHED
	struct ops ops = { s1, s3, 5 };
#else
	struct ops ops = { s1, s2, 5 };
#endif
	take(&ops);
}
