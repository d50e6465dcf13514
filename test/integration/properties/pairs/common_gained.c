// A new global under -fcommon: it has no section in the object.
// flags: -fcommon
// expect: changed f
// expect: data fresh
// or-refused: unsupported-relocation f
#include "kernel.h"
#ifdef PATCHED
long fresh[4];
#endif
int f(int x) {
#ifdef PATCHED
	fresh[x & 3]++;
#endif
	return x + (int)get();
}
