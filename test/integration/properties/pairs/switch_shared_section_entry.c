// The same, and one entry of f's table is another one.
// expect: changed f
#include "kernel.h"
void a0(int), a1(int), a2(int), a3(int), a4(int), a5(int);
#define SCHED __section(".sched.text")
#ifdef PATCHED
#define TWO 3
#define THREE 2
#else
#define TWO 2
#define THREE 3
#endif
#define SWITCH(x, k, two, three) switch (x) { case 0: a0(k); break; case 1: a1(k); break; case two: a2(k); break; case three: a3(k); break; \
	case 4: a4(k); break; case 5: a5(k); break; }
void SCHED another(int x) { SWITCH(x, 9, 2, 3); }
void SCHED f(int x) { SWITCH(x, 1, TWO, THREE); printk("f\n"); }
void SCHED g(int x) { SWITCH(x + 3, 2, 2, 3); printk("g\n"); }
