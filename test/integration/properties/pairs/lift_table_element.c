// Several members of one element.
// compilers: gcc clang
// expect: lifted f
// expect: data entries
#include "kernel.h"
struct entry { long first; int (*call)(int); long second, third; };
struct object { long a, b; };
static int one(int x) { return x + (int)get(); }
static int two(int x) { return x - (int)get(); }
#ifdef PATCHED
static const struct entry entries[] = { { 1, one, 3, 4 }, { 5, one, 7, 8 }, { 9, two, 11, 12 } };
#else
static const struct entry entries[] = { { 1, one, 3, 4 }, { 5, two, 7, 8 }, { 9, two, 11, 12 } };
#endif
int f(struct object *o, unsigned i) {
	const struct entry *e = &entries[i];
	if (!e->first) return -1;
	o->a = e->second;
	o->b |= e->third;
	return e->call(3);
}
