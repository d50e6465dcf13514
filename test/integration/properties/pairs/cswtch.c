// The table that gcc makes of a switch of constants.
// expect: changed f
#include "kernel.h"
int f(int x) {
	switch (x) {
	case 0: return 12;
	case 1: return 17;
	case 2: return 93;
	case 3: return 4;
#ifdef PATCHED
	case 4: return 6;
#else
	case 4: return 5;
#endif
	case 5: return 1000;
	default: return 0;
	}
}
int g(int x) {
	switch (x) {
	case 0: return 112;
	case 1: return 117;
	case 2: return 193;
	case 3: return 14;
	case 4: return 15;
	case 5: return 11000;
	default: return 0;
	}
}
