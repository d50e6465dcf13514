// What lies there has another meaning.
// expect: changed f
// expect: refused changed-layout s
#include "kernel.h"
struct s {
#ifdef PATCHED
	long bytes;
#else
	long pages;
#endif
};
#ifdef PATCHED
long f(struct s *s) { return s->bytes + get(); }
#else
long f(struct s *s) { return s->pages * 4096 + get(); }
#endif
