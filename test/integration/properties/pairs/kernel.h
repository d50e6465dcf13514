/* What the pairs borrow from the kernel: the same attributes, sections and shapes of macros, not its code. */
#define noinline __attribute__((noinline))
#define always_inline inline __attribute__((always_inline))
#define __cold __attribute__((cold))
#define __weak __attribute__((weak))
#define __used __attribute__((used))
#define notrace __attribute__((no_instrument_function))
#define __section(s) __attribute__((section(s)))
#define __read_mostly __section(".data..read_mostly")
#define __percpu_data __section(".data..percpu")
#define NULL ((void *)0)
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define READ_ONCE(x) (*(volatile __typeof__(x) *)&(x))
#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)
#define __UNIQUE_ID(prefix) PASTE(PASTE(__UNIQUE_ID_, prefix), __COUNTER__)
typedef unsigned long size_t;
typedef unsigned long ulong;
int printk(const char *format, ...);
void use(const void *p);
long get(void);
void bad(void) __cold;
