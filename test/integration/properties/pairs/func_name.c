// __func__ is carried with the code that uses it and never paired.
// expect: changed f
// expect(gcc): data __func__
// expect(clang): data
#include "kernel.h"
#ifdef PATCHED
void another(void) { printk("%s\n", __func__); }
#endif
int f(int x) {
	printk("%s %d\n", __func__, x);
#ifdef PATCHED
	x++;
#endif
	return x;
}
int g(int x) { printk("%s %d\n", __func__, x); return x; }
