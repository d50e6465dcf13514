// Each instance is a local variable of a function that is replaced. (gcc passes both members to step instead.)
// expect(gcc): changed f
// expect(clang): changed f step
// expect: note changed-layout s
#include "kernel.h"
struct s { long a;
#ifdef PATCHED
	long b;
#endif
	long c;
};
static noinline long step(struct s *s) { return s->a + s->c + get(); }
long f(long x) {
	struct s s = { .a = x, .c = get() };
#ifdef PATCHED
	s.b = get();
	use(&s.b);
#endif
	return step(&s);
}
