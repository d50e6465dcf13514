// A member where nothing was.
// expect: changed f
// expect: note changed-layout s
#include "kernel.h"
struct s { char a;
#ifdef PATCHED
	char b;
#endif
	long c;
};
long f(struct s *s) {
#ifdef PATCHED
	s->b = 1;
#endif
	return s->c + get();
}
