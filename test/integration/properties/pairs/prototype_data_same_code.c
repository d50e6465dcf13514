// A struct member's offset.
// expect: changed f
// expect: refused changed-layout s
#include "kernel.h"
#ifdef PATCHED
struct s { long a, b; };
#else
struct s { long b, a; };
#endif
long f(struct s *s) { return s->a + get(); }
