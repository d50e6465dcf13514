// Enumerators behind the others are no change.
// expect: changed f
#include "kernel.h"
enum kind { first, second,
#ifdef PATCHED
	third,
#endif
};
long f(enum kind k) {
#ifdef PATCHED
	if (k == third) return 3;
#endif
	return k == second ? get() : first;
}
