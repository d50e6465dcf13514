// A variable that happens to be called as the kernel's debug descriptors are, and holds state.
// expect: changed f
// expect: klp descriptor
// expect: data
#include "kernel.h"
int f(int x) {
	static int descriptor;
#ifdef PATCHED
	x++;
#endif
	descriptor += x;
	return descriptor + (int)get();
}
