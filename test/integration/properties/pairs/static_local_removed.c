// A static local that is gone is worth a note.
// expect: changed f
// expect: note static-local-removed n
#include "kernel.h"
int f(int x) {
#ifndef PATCHED
	static int n;
	n += x;
	x = n;
#endif
	return x + (int)get();
}
