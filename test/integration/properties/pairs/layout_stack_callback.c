// A function that sees the struct is called through a pointer: perhaps by a task that is not patched yet.
// expect: changed f step
// expect: refused changed-layout s
#include "kernel.h"
struct s { long a;
#ifdef PATCHED
	long b;
#endif
	long c;
};
void on_each(void (*fn)(void *), void *);
static void step(void *p) {
	struct s *s = p;
	s->c += s->a + get();
}
long f(long x) {
	struct s s = { .a = x, .c = get() };
#ifdef PATCHED
	s.b = get();
	use(&s.b);
#endif
	on_each(step, &s);
	return s.c;
}
