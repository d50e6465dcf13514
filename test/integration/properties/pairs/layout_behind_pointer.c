// Nothing of the struct that grew is seen but a pointer to it.
// expect: changed f
#include "kernel.h"
struct hidden;
struct s { struct hidden *h; };
#ifdef PATCHED
struct hidden;
#endif
struct hidden *f(struct s *s) {
#ifdef PATCHED
	get();
#endif
	return s->h;
}
