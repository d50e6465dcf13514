// The old content of a variable may stay if the author says so, but not under code that takes it for larger than it is.
// expect: refused changed-data slots
// expect: changed swap
#include "kernel.h"
#ifdef PATCHED
#define COUNT 8
#else
#define COUNT 4
#endif

long slots[COUNT] = {1, 2, 3, 4};

long swap(unsigned at, long value) {
  long old = 0;
  if (at < COUNT) {
    old = slots[at];
    slots[at] = value;
  }
  return old;
}
