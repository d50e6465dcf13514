// Strings of wide characters: a zero byte does not end them.
// expect: changed f
#include "kernel.h"
#ifdef PATCHED
#define TEXT u"wide new"
#else
#define TEXT u"wide old"
#endif
void f(void) { use(TEXT); }
void g(void) { use(u"wide same"); use("w"); }
