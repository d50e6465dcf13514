// flags: -fcommon
// expect: changed f
// expect: klp shared
#include "kernel.h"
int shared;
long array[10];
int f(int x) {
#ifdef PATCHED
	x++;
#endif
	shared = x;
	return x + array[3];
}
int g(int x) { array[2] = x; return shared; }
