// A variable gets another name: its state would be lost. The engine cannot know; it is new and used by code that changes.
// expect: changed user
// expect: data second
#include "kernel.h"
#ifdef PATCHED
#define NAME second
#else
#define NAME first
#endif
static int NAME;
int user(int x) { NAME += x; return NAME * (int)get(); }
