// A switch by jump table whose table moves because another one appears in front of it.
// expect: removed another
#include "kernel.h"
void a0(int), a1(int), a2(int), a3(int), a4(int), a5(int);
#define SWITCH(x, k) switch (x) { case 0: a0(k); break; case 1: a1(k); break; case 2: a2(k); break; case 3: a3(k); break; \
	case 4: a4(k); break; case 5: a5(k); break; }
#ifndef PATCHED
void another(int x) { SWITCH(x, 9); }
#endif
void f(int x) { SWITCH(x, 1); printk("f\n"); }
void g(int x) { SWITCH(x + 3, 2); printk("g\n"); }
