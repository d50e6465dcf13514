// __LINE__ in a static structure that the code points to: private data of a message, or somebody's variable.
// expect: unchanged
// or-refused: changed-data place
#include "kernel.h"
struct place { const char *file; int line; };
void there(const struct place *place);
#ifdef PATCHED
#line 1300
#else
#line 1200
#endif
int f(int x) { static const struct place place = { "f", __LINE__ }; there(&place); return x; }
