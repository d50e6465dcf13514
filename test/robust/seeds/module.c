/* A livepatch module before its last step, as the linker leaves it; with the tables of other makers by -DKPATCH and -DBY_HAND. */
asm(".section .modinfo,\"a\",@progbits\n.asciz \"livepatch=Y\"\n.asciz \"name=livepatch_test\"\n.asciz \"vermagic=6.1.0 SMP mod_unload\"\n"
    ".section .gnu.linkonce.this_module,\"aw\",@progbits\n.globl __this_module\n.type __this_module,@object\n__this_module: .zero 64\n.size __this_module,64\n"
    ".section __versions,\"a\",@progbits\n.quad 0x1234\n.ascii \"printk\"\n.zero 50\n"
    ".weak \".klp.ref.vmlinux.vmlinux.hidden,0\"\n.weak \".klp.ref.ext4.ext4.own,2\"\n.text\n");
int printk(const char *format, ...);

int replacement(int n) {
  asm volatile("call \".klp.ref.vmlinux.vmlinux.hidden,0\"\n\tcall \".klp.ref.ext4.ext4.own,2\"" : : : "memory");
  return printk("replaced %d\n", n);
}
int second(int n) { return printk("second %d\n", n); }

#if defined(KPATCH)
struct func { void *now; unsigned long size; void *old; unsigned long old_size, sympos; const char *name, *object; };
struct func funcs[] __attribute__((section(".kpatch.funcs"))) = {{replacement, 10, 0, 10, 1, "old_name", "vmlinux"}, {second, 8, 0, 9, 0, "second_old", "ext4"}};
#elif defined(BY_HAND)
extern char __this_module[];
struct func { const char *name; void *now; unsigned long sympos; void *rest[9]; };
struct object { const char *name; struct func *funcs; void *rest[9]; };
static struct func funcs[] = {{"old_name", replacement, 1, {0}}, {"second_old", second, 0, {0}}, {0}};
static struct object objects[] = {{0, funcs, {0}}, {"ext4", funcs, {0}}, {0}};
struct { void *module; struct object *objects; } patch = {__this_module, objects};
#else
struct func { const char *object, *name; void *now; unsigned long sympos; };
struct func funcs[] __attribute__((section(".klp_diff.funcs"))) = {{0, "old_name", replacement, 1}, {"ext4", "second_old", second, 0}};
#endif
