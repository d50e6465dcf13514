/* Every kernel table that klp-diff cuts into entries, with the layouts of Linux 6.1 on x86_64. -DPATCHED changes one function. */
typedef unsigned long size_t;
int printk(const char *format, ...);
void *memcpy(void *to, const void *from, size_t size);

#define ENTRY(section, flags, body) ".pushsection " section ",\"" flags "\"\n\t" body "\n\t.popsection\n\t"

/* struct bug_entry: address, file, line, flags. */
#define WARN(file)                                                                                                   \
  asm volatile("1: ud2\n\t" ENTRY("__bug_table", "aw", "2: .long 1b - .\n\t.long %c0 - .\n\t.word %c1\n\t.word 9\n\t.org 2b+12") \
               : : "i"(file), "i"(__LINE__))

/* struct alt_instr: site, replacement, feature, site length, replacement length. */
#define ALTERNATIVE(old, new)                                                                                        \
  asm volatile("661: " old "\n662:\n\t" ENTRY(".altinstructions", "a",                                               \
               ".long 661b - .\n\t.long 663f - .\n\t.word 7\n\t.byte 662b-661b\n\t.byte 664f-663f")                   \
               ENTRY(".altinstr_replacement", "ax", "663: " new "\n664:") : : : "memory")

static int get_user_like(const int *from) {
  int value = 0, error = 0;
  asm volatile("1: movl (%2), %0\n2:\n\t" ENTRY("__ex_table", "a", ".balign 4\n\t.long 1b - .\n\t.long 2b - .\n\t.long 3")
               ENTRY(".smp_locks", "a", ".balign 4\n\t.long 1b - .")
               : "=r"(value), "+r"(error) : "r"(from));
  return value + error;
}

struct key { int count; void *entries; };
struct key feature_key;
static struct key own_key = {1, 0};
extern struct key kernel_key;

static inline __attribute__((always_inline)) int branch(struct key *key) {
  asm goto("1: .byte 0x0f,0x1f,0x44,0x00,0x00\n\t"
           ENTRY("__jump_table", "aw", ".balign 8\n\t.long 1b - .\n\t.long %l[yes] - .\n\t.quad %c0 + 1 - .") : : "i"(key) : : yes);
  return 0;
yes:
  return 1;
}

void helper(int);
#define STATIC_CALL(name)                                                                                            \
  asm volatile("1: call " name "\n\t" ENTRY(".static_call_sites", "aw", ".balign 4\n\t.long 1b - .\n\t.long " name " - . + 1") \
               : : : "memory", "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11")

void traced_call(void);

int with_tables(const int *from, int mode) {
  int sum = get_user_like(from);
  if (branch(&feature_key)) sum += 3;
  if (branch(&kernel_key)) sum += 5;
  ALTERNATIVE("nop\n\tnop\n\tnop\n\tnop\n\tnop", "call helper");
  if (mode == 9) WARN(__FILE__);
#ifdef PATCHED
  if (branch(&own_key)) printk("patched %d\n", sum);
  ALTERNATIVE("nop\n\tnop\n\tnop", "lfence");
#endif
  STATIC_CALL("traced_call");
  return sum;
}

int paravirt(int x) {
  asm volatile("771: nop\n\tnop\n\tnop\n\tnop\n\tnop\n\tnop\n772:\n\t"
               ENTRY(".parainstructions", "a", ".balign 8\n\t.quad 771b\n\t.byte 4\n\t.byte 772b-771b\n\t.balign 8")
               ENTRY(".retpoline_sites", "a", "1: .long 771b - .") ENTRY(".return_sites", "a", ".long 772b - .") : : : "memory");
  return own_key.count + x;
}

/* ORC: where the state holds from, and the state itself (6 bytes). */
asm(ENTRY(".orc_unwind_ip", "a", ".long with_tables - .\n\t.long with_tables + 5 - .\n\t.long paravirt - .\n\t.long paravirt + 9 - .")
    ENTRY(".orc_unwind", "a", ".byte 8,0,0,0,5,0\n\t.byte 16,0,0,0,5,0\n\t.byte 8,0,0,0,5,0\n\t.byte 0,0,0,0,0,0"));

static int __attribute__((section(".init.text"), used)) start(void) { return printk("start\n"); }
static void __attribute__((section(".exit.text"), used)) stop(void) { printk("stop\n"); }
static int (*const start_call)(void) __attribute__((section(".initcall6.init"), used)) = start;
int percpu_counter __attribute__((section(".data..percpu")));
int often_read __attribute__((section(".data..read_mostly"))) = 4;
int often_read_array[4] __attribute__((section(".data..read_mostly")));
int sched_like(int x) __attribute__((section(".sched.text"), noinline));
int sched_like(int x) { return x + often_read; }
int sched_caller(int x) __attribute__((section(".sched.text")));
int sched_caller(int x) { return sched_like(x) * 2 + percpu_counter; }

struct descriptor { const char *file, *function, *format; unsigned line; struct key key; };
void dynamic_printk(struct descriptor *d, int x);
int debug_user(int x) {
  static struct descriptor descriptor __attribute__((section("__dyndbg"))) = {"file", "debug_user", "%d\n", __LINE__, {0, 0}};
  if (branch(&descriptor.key)) dynamic_printk(&descriptor, x);
  return x;
}
asm(ENTRY("__ksymtab", "a", ".balign 4\n__ksymtab_with_tables: .long with_tables - .\n\t.long 1f - .\n\t.long 1f - .")
    ENTRY("__ksymtab_strings", "aMS\",@progbits,1#", "1: .asciz \"with_tables\""));
asm(ENTRY(".modinfo", "a", ".asciz \"license=GPL\""));
