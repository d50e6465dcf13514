// One instance is a variable.
// expect(gcc): changed f
// expect(clang): changed f step
// expect: refused changed-layout s
// expect: refused changed-data kept
#include "kernel.h"
struct s { long a;
#ifdef PATCHED
	long b;
#endif
	long c;
};
struct s kept = { 1 };
static noinline long step(struct s *s) { return s->a + s->c + get(); }
long f(long x) {
	struct s s = { .a = x, .c = get() };
	return step(&s) + step(&kept);
}
