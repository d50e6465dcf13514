// A static local that becomes a variable of the file, used by the same code: the same variable, or refused; never a new
// one without a word.
// expect: changed f
// expect: klp n
// expect: data
// or-refused: static-local-reset f
#include "kernel.h"
#ifdef PATCHED
static int n;
#endif
int f(int x) {
#ifndef PATCHED
	static int n;
#endif
	n += x;
#ifdef PATCHED
	x++;
#endif
	return n * (int)get() + x;
}
