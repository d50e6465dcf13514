// DO_ONCE's state decides whether an initialisation runs again: it is the running kernel's.
// expect: changed f
// expect: klp ___done ___once_key
// expect: data
#include "kernel.h"
struct key { int enabled; };
int once_start(_Bool *done, struct key *key);
#define DO_ONCE(init) ({ static _Bool __section(".data.once") ___done; static struct key __section(".data.once") ___once_key = { 1 }; \
	if (READ_ONCE(___once_key.enabled)) if (once_start(&___done, &___once_key)) init(); })
void secret(void);
int f(int x) {
	DO_ONCE(secret);
#ifdef PATCHED
	x++;
#endif
	return x;
}
int g(int x) { DO_ONCE(bad); return x; }
