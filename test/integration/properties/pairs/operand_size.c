// An addressing mode's displacement that grows is a change as well.
// expect: changed f
// expect: refused changed-layout s
#include "kernel.h"
#ifdef PATCHED
struct s { char pad[132]; int v; };
#else
struct s { char pad[124]; int v; };
#endif
int f(struct s *s) { return s->v + (int)get(); }
