// The same code in another part of the text: __sched, __cpuidle, __kprobes. Nothing to replace, but not without a word.
// compilers: gcc clang
// expect: unchanged
// expect: note moved-function f
#include "kernel.h"
#ifdef PATCHED
#define PLACE __attribute__((section(".sched.text")))
#else
#define PLACE
#endif
PLACE int f(int x) { return x + (int)get(); }
