/* Data and code shapes: strings, constants, switch tables, static locals, cold parts, COMDAT, aliases. */
int printk(const char *format, ...);
void slow_path(const char *why) __attribute__((cold));

double scale(double x) { return x * 1.25 + 3.5; }
const unsigned short *wide(int n) { return n ? u"wide text" : u"other text"; }
const int *very_wide(void) { return (const int *)U"32 bits a character"; }

int static_locals(int n) {
  static int count, once = 1;
  static const char message[] = "constant local";
  { static int count; count += n; once += count; }
  { static int count = 5; count -= n; once ^= count; }
  printk("%s %s\n", message, __func__);
  return count++ + once;
}
int more_locals(int n) { static int count = 7; return count += n; }

int choose(int n) {
  switch (n) {
    case 0: return printk("zero\n");
    case 1: return more_locals(n);
    case 2: return static_locals(2);
    case 3: slow_path("three"); return 3;
    case 4: return printk("four\n") + 4;
    case 5: return more_locals(50);
    case 6: return static_locals(n * 3);
    case 7: return printk("seven %d\n", n);
  }
  return n == 1000 ? -1 : n;
}

int with_cold_part(int *p, int n) {
  if (__builtin_expect(!p, 0)) {
    printk("no pointer in %s\n", __func__);
    slow_path("null");
    return -22;
  }
  for (int i = 0; i < n; ++i) {
    if (p[i] > 4096) { slow_path("large"); p[i] = 0; }
  }
#ifdef PATCHED
  return choose(n) + 1;
#else
  return choose(n);
#endif
}

struct node { struct node *next; const char *name; int (*call)(int); };
static struct node nodes[3];
static struct node nodes[3] = {{&nodes[1], "first", choose}, {&nodes[2], "second", more_locals}, {0, "third", static_locals}};
const struct node *const table[] = {&nodes[0], &nodes[2], &nodes[3]};
const char *const names[] = {"alpha", "beta", "gamma", "alpha"};
const char *name_of(int n) { return names[n & 3]; }
static char large[5000];
static int uninitialised;
int bss_user(int n) { large[n] = 1; return uninitialised += nodes[0].call(n); }

int aliased(int n) { return n + 1; }
int alias_of(int n) __attribute__((alias("aliased")));
int weak_one(int n) __attribute__((weak));
int weak_one(int n) { return n - 1; }
extern int weak_reference(int) __attribute__((weak));
int maybe(int n) { return weak_reference ? weak_reference(n) : weak_one(n); }

asm(".section .text.grouped,\"axG\",@progbits,grouped,comdat\n.globl grouped\n.type grouped,@function\ngrouped: call __fentry__\nret\n"
    ".size grouped,.-grouped\n"
    ".section .rodata.grouped_data,\"aG\",@progbits,grouped,comdat\n.type grouped_data,@object\ngrouped_data: .quad grouped,grouped_data\n"
    ".size grouped_data,.-grouped_data\n.text\n");
int grouped(int);
#ifdef PATCHED
static int fresh_state[4] = {1, 2, 3, 4};
static int __attribute__((noinline)) fresh(int n) { return fresh_state[n & 3] + grouped(n); }
int user_of_fresh(int n) { return fresh(n) + maybe(n) + nodes[1].call(n); }
#else
int user_of_fresh(int n) { return maybe(n); }
#endif
