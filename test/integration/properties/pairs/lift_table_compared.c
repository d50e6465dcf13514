// The address is compared: a copy is not equal to what live objects hold.
// expect: refused changed-data ops
#include "kernel.h"
struct ops { int (*open)(int); int (*close)(int); };
struct file { const struct ops *ops; };
static int open(int x) { return x + (int)get(); }
static int open2(int x) { return x - (int)get(); }
#ifdef PATCHED
static const struct ops ops = { open2, open };
#else
static const struct ops ops = { open, open2 };
#endif
int f(struct file *file) { return file->ops == &ops; }
