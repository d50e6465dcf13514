// __LINE__ in structures: on the stack, passed by value, and stored through a pointer.
// expect(gcc): unchanged
// clang, and gcc for ppc64le, keep the structure of g as a constant, where a line is like any other number.
// expect(clang): changed g
// expect(ppc64): changed g
#include "kernel.h"
struct place { const char *file; int line; };
void here(struct place place), there(const struct place *place);
#ifdef PATCHED
#line 130
#else
#line 120
#endif
int f(int x) { if (x) here((struct place){ "f", __LINE__ }); return x; }
int g(int x) { struct place place = { "g", __LINE__ }; there(&place); return x; }
int h(struct place *place) { place->file = "h"; place->line = __LINE__; return 1; }
