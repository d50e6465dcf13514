// A function in a section group, as compilers make of `inline` in several units.
// compilers: gcc clang
// expect: changed user
// expect: klp helper
#include "kernel.h"
asm(".section .text.helper,\"axG\",@progbits,helper,comdat\n.weak helper\n.type helper, @function\n"
    "helper: call __fentry__\nmovl $3, %eax\nret\n.size helper, . - helper\n.previous");
int helper(void);
int user(int x) {
#ifdef PATCHED
	x++;
#endif
	return helper() + x;
}
