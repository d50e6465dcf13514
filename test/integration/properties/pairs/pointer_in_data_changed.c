// One function in a table is another one: data.
// expect: refused changed-data ops
#include "kernel.h"
struct ops { int (*open)(int); int (*close)(int); };
static int open(int x) { return x + (int)get(); }
static int open2(int x) { return x - (int)get(); }
static int close(int x) { return x * (int)get(); }
#ifdef PATCHED
const struct ops ops = { open2, close };
#else
const struct ops ops = { open, close };
#endif
int user(int x) { return open2(x) + open(x); }
