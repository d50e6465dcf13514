// Two cases change places: only the table differs.
// expect: changed f
#include "kernel.h"
void a0(int), a1(int), a2(int), a3(int), a4(int), a5(int);
void f(int x) {
	switch (x) {
	case 0: a0(1); break;
	case 1: a1(1); break;
#ifdef PATCHED
	case 2: a3(1); break;
	case 3: a2(1); break;
#else
	case 2: a2(1); break;
	case 3: a3(1); break;
#endif
	case 4: a4(1); break;
	case 5: a5(1); break;
	case 6: bad(); break;
	}
}
void g(int x) {
	switch (x) {
	case 0: a0(2); break;
	case 1: a1(2); break;
	case 2: a2(2); break;
	case 3: a3(2); break;
	case 4: a4(2); break;
	case 5: a5(2); break;
	}
}
