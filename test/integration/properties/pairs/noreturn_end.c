// A function that ends with a call that does not return: what follows belongs to the next one.
// expect: changed f
#include "kernel.h"
void die(int) __attribute__((noreturn));
int f(int x) {
#ifdef PATCHED
	if (x > 9) return 2;
#endif
	die(x);
}
int g(int x) { if (x > 3) die(x); return (int)get(); }
