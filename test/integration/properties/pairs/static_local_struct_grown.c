// A structure of the same name that has grown.
// expect: refused changed-layout state
// expect: refused static-local-reset f
#include "kernel.h"
struct state { int a;
#ifdef PATCHED
	int b;
#endif
};
int f(int x) {
	static struct state state;
	state.a += x;
	use(&state);
	return state.a;
}
