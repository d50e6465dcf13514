// A condition is turned round.
// expect: changed f
#include "kernel.h"
int f(int x) {
#ifdef PATCHED
	if (x <= 3) use(NULL);
#else
	if (x > 3) use(NULL);
#endif
	return (int)get();
}
