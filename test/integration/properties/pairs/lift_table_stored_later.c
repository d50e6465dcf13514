// Stored behind a branch.
// expect: refused changed-data entries
#include "kernel.h"
struct entry { long first, second, third; };
struct object { const struct entry *e; long a; };
#ifdef PATCHED
static const struct entry entries[] = { { 1, 2, 3 }, { 4, 5, 7 } };
#else
static const struct entry entries[] = { { 1, 2, 3 }, { 4, 5, 6 } };
#endif
int f(struct object *o, unsigned i) {
	const struct entry *e = &entries[i];
	if (!e->first) return -1;
	if (e->second > get()) o->e = e;
	o->a = e->third;
	return 0;
}
