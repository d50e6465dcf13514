/* A middle-sized unit: many functions that call each other and refer to each other's data. */
int printk(const char *format, ...);
#define ONE(n, m)                                                                        \
  int f##m(int, int *);                                                                  \
  struct record_##n { int id; const char *text; int (*call)(int, int *); };              \
  static struct record_##n record_##n = {n, "record " #n, f##m};                         \
  int f##n(int x, int *p) {                                                              \
    static int calls_##n, last;                                                          \
    for (int i = 0; i < x; ++i) p[i] += i * n + calls_##n++;                             \
    if (x < 0) printk("%s: negative %d in " #n "\n", __func__, x);                       \
    last = record_##n.call == f##n ? x : last + EXTRA;                                   \
    return x > 1 ? f##m(x / 2, p) + last : record_##n.id;                                \
  }
#ifdef PATCHED
#define EXTRA 2
#else
#define EXTRA 1
#endif
#define FOUR(a, b, c, d, e) ONE(a, b) ONE(b, c) ONE(c, d) ONE(d, e)
FOUR(1, 2, 3, 4, 5) FOUR(5, 6, 7, 8, 9) FOUR(9, 10, 11, 12, 13) FOUR(13, 14, 15, 16, 17) FOUR(17, 18, 19, 20, 21)
FOUR(21, 22, 23, 24, 25) FOUR(25, 26, 27, 28, 29) FOUR(29, 30, 31, 32, 33) FOUR(33, 34, 35, 36, 37) FOUR(37, 38, 39, 40, 1)
