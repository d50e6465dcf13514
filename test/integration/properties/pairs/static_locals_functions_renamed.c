// A function with a static local gets another name: its state moves or is refused, or is new as all of a new function is.
// expect: changed user
// expect: new second
// expect: removed first
// expect: data n
// or-refused: ambiguous-symbol second
#include "kernel.h"
#ifdef PATCHED
#define NAME second
#else
#define NAME first
#endif
static noinline int NAME(int x) { static int n; n += x; return n + (int)get(); }
int user(int x) { return NAME(x) * 2; }
