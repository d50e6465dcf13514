// A constant static local counts by content.
// expect: changed f
// expect: data message
#include "kernel.h"
int f(int x) {
#ifdef PATCHED
	static const char message[] = "new message";
#else
	static const char message[] = "old message";
#endif
	use(message);
	return x;
}
int g(int x) { static const char message[] = "constant"; use(message); return x; }
