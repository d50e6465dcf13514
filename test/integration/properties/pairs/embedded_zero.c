// A string with a zero inside: what follows it counts. gcc keeps such strings in one .rodata without symbols; nothing says
// where one ends, so it counts as a whole, and g is carried, too.
// expect(gcc): changed f g
// expect(clang): changed f
#include "kernel.h"
#ifdef PATCHED
#define TEXT "one\0new"
#else
#define TEXT "one\0old"
#endif
void take(const char *s, size_t size);
void f(void) { take(TEXT, 8); }
void g(void) { take("one\0same", 9); }
