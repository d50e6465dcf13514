// Clang makes two variables of this one, table.0 and table.1, if it can: the numbers are of members.
// stable-numbers: yes
// expect: changed f
// expect: new callback
// expect: data table
#include "kernel.h"
#ifdef PATCHED
static int callback(int x) { return x + (int)get(); }
static struct { int (*call)(int); const char *name; } table[2] = { { callback, "first" }, { NULL, "second" } };
#endif
int f(int x) {
#ifdef PATCHED
	for (int i = 0; i < 2; i++) {
		if (table[i].call) x = table[i].call(x);
		table[i].call = NULL;
	}
#endif
	return x + (int)get();
}
