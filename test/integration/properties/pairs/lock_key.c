// A lock class key belongs to the code that registers it.
// expect: changed f
// expect: data __key
#include "kernel.h"
struct lock_class_key { long subkeys[2]; };
void lock_init(void *lock, const char *name, struct lock_class_key *key);
#define spin_lock_init(lock) do { static struct lock_class_key __key; lock_init(lock, #lock, &__key); } while (0)
void f(void *lock) {
#ifdef PATCHED
	printk("f\n");
#endif
	spin_lock_init(lock);
}
void g(void *other) { spin_lock_init(other); }
