// A new function that nothing in the patch uses calls what the running kernel does not have: other files are missing.
// kernel-lacks: brand_new
// expect: refused missing-symbol for_others
#include "../pairs/kernel.h"
int brand_new(int x);
#ifdef PATCHED
int for_others(int x) { return brand_new(x) + 1; }
int f(int x) { return x + (int)get(); }
#else
int f(int x) { return x - (int)get(); }
#endif
