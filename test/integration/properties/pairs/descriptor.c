// A descriptor of dynamic debug belongs to the code that uses it; it is carried, whatever its number.
// expect: changed f
// expect(gcc): data descriptor __func__
// expect(clang): data descriptor
#include "kernel.h"
struct descriptor { const char *module, *function, *file, *format; unsigned line, flags; };
void dynamic(struct descriptor *, const char *, ...);
#define pr_debug(text) ({ static struct descriptor __section("__dyndbg") descriptor = { "m", __func__, "file", text, 12, 0 }; \
	if (READ_ONCE(descriptor.flags)) dynamic(&descriptor, text); })
#ifdef PATCHED
void another(void) { pr_debug("another"); }
#endif
int f(int x) {
	pr_debug("in f");
#ifdef PATCHED
	x++;
#endif
	return x;
}
int g(int x) { pr_debug("in g"); return x; }
