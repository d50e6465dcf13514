// Pointers into the middle and to the end of a string, which the linker may merge with others.
// expect: changed f h
#include "kernel.h"
#ifdef PATCHED
#define MIDDLE 5
#define LONG "a longer one, the same tail"
#else
#define MIDDLE 4
#define LONG "a long one, the same tail"
#endif
static const char text[] = "prefix tail";
void f(void) { use(&"prefix tail"[MIDDLE]); }
void g(void) { use(&"prefix tail"[7]); use("tail"); }
void h(void) { const char *s = LONG; use(s); use(s + sizeof(LONG) - 1); }
void k(void) { use("the same tail"); use(&"the same tail"[14]); }
