// Functions of a section of several keep their jump tables in one .rodata: one table less in front changes nothing else.
// expect: removed another
#include "kernel.h"
void a0(int), a1(int), a2(int), a3(int), a4(int), a5(int);
#define SCHED __section(".sched.text")
#define SWITCH(x, k) switch (x) { case 0: a0(k); break; case 1: a1(k); break; case 2: a2(k); break; case 3: a3(k); break; \
	case 4: a4(k); break; case 5: a5(k); break; }
#ifndef PATCHED
void SCHED another(int x) { SWITCH(x, 9); }
#endif
void SCHED f(int x) { SWITCH(x, 1); printk("f\n"); }
void SCHED g(int x) { SWITCH(x + 3, 2); printk("g\n"); }
