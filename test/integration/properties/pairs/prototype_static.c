// All callers of a static function are in its file: their code changed, too.
// expect: changed f g
#include "kernel.h"
#ifdef PATCHED
static noinline long g(long x, long y) { return x * y + get(); }
long f(long x) { return g(x, get()); }
#else
static noinline long g(long x) { return x + get(); }
long f(long x) { return g(x); }
#endif
