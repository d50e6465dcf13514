// A boot-time function that becomes an ordinary one, because patched code calls it now: the old one is gone.
// expect: changed g
// expect: new f
// expect: removed f
// or-refused: init-code g
#include "kernel.h"
#ifdef PATCHED
#define INIT
#else
#define INIT __section(".init.text")
#endif
int noinline INIT f(int x) { return x + (int)get(); }
int g(int x) {
#ifdef PATCHED
	x = f(x);
#endif
	return x + 2 * (int)get();
}
