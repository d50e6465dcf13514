// The addresses in its own switch table are nobody's business.
// expect: changed helper
// expect: lifted f
#include "kernel.h"
static noinline notrace long helper(int x) {
	switch (x) {
	case 0: return get() + 1;
	case 1: return get() * 3;
	case 2: return get() - 7;
	case 3: return get() << 2;
	case 4: return get() / 5;
#ifdef PATCHED
	case 5: return get() ^ 99;
#else
	case 5: return get() ^ 98;
#endif
	case 6: return -get();
	}
	return 0;
}
long f(int x) { return helper(x) + 1; }
