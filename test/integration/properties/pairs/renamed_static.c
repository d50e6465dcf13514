// A static function gets another name: new and removed; whoever calls it calls new code.
// expect: changed user
// expect: new second
// expect: removed first
#include "kernel.h"
#ifdef PATCHED
#define NAME second
#else
#define NAME first
#endif
static noinline int NAME(int x) { return x + (int)get(); }
int user(int x) { return NAME(x) * 2; }
