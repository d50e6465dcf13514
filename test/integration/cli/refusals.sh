#!/bin/bash
# Patches that cannot become a livepatch: each is refused with its code, the place, and what to do.
. "$(dirname "$0")/common.sh"

say "a table whose address live objects hold, and code compares"
edit ops net/socket.c '/struct file_operations socket_file_ops/,/};/s/no_llseek/noop_llseek/'
refused changed-data "$work/ops.patch"
expect_output "changed-data: socket_file_ops, net/socket\.o, vmlinux"
expect_output "a copy cannot take its place: .*sock_from_file\+0x"

say "a variable that replaced code takes for larger than it is: nobody can accept that"
edit grown net/socket.c 's/(net_families\[NPROTO)\]( __read_mostly)/\1 + 1]\2/; s/ops->family >= NPROTO/ops->family > NPROTO/'
refused changed-data "$work/grown.patch" --accept changed-data
expect_output "net_families, .*size 376 instead of 368 bytes; sock_register is compiled for the new size"

say "a function that ran at boot"
edit init fs/proc/meminfo.c 's/proc_create_single\("meminfo", 0,/proc_create_single("meminfo", 0400,/'
refused init-code "$work/init.patch"
expect_output "init-code: proc_meminfo_init, fs/proc/meminfo\.o, vmlinux"

say "assembly"
edit assembly arch/x86/lib/memset_64.S 's/^(SYM_FUNC_START\(__memset\))/\1\n\tnop/'
refused asm-source "$work/assembly.patch"
expect_output "arch/x86/lib/memset_64\.S is assembly"
expect_output "what to do: make the fix in a C function that calls this code"

say "build rules; none of them is run"
edit rules fs/proc/Makefile "1a\$(shell touch $work/rule-ran)"
edit rules fs/proc/Kconfig "1a config KLP_CLI_TEST\n\tdef_bool \$(shell,touch $work/rule-ran && echo y)"
refused build-rules "$work/rules.patch"
expect_output "refused: 2 reasons"
expect_output "build-rules: fs/proc/Makefile"
expect_output "build-rules: fs/proc/Kconfig"
edit rules fs/proc/meminfo.c 's/"MemTotal:       "/"MEMTOTAL:       "/'
refused build-rules "$work/rules.patch"
[ ! -e "$work/rule-ran" ] || wrong "a rule of the patch was run"

say "a module for each object, and one needs the other's new code"
edit shared fs/proc/meminfo.c 's/^(static int meminfo_proc_show)/noinline int klp_cli_shared(int x);\nnoinline int klp_cli_shared(int x)\n{\n\tbarrier();\n\treturn x + 1;\n}\n\n\1/; s/"MemTotal: /"MEMTOTAL: /'
edit shared drivers/block/zram/zram_drv.c 's/^(static ssize_t initstate_show)/int klp_cli_shared(int x);\n\n\1/; s/val = init_done\(zram\);/val = klp_cli_shared(init_done(zram));/'
refused new-dependency "$work/shared.patch" --split
expect_output "new-dependency: klp_cli_shared, drivers/block/zram/zram_drv\.o, zram"
expect_output "is new in fs/proc/meminfo\.o of vmlinux, .*without --split"

say "files that this kernel is not built from"
edit not_built mm/kmemleak.c 's/"kmemleak: Unable/"kmemleak: Cannot/;1a /* x */'
refused not-built "$work/not_built.patch"
expect_output "not-built: mm/kmemleak\.c .*what to do: it is built only with CONFIG_DEBUG_KMEMLEAK, which is not set here"
cat >"$work/new.patch" <<'PATCH'
--- /dev/null
+++ b/fs/proc/klp_cli_test.c
@@ -0,0 +1,2 @@
+int klp_cli_test(void);
+int klp_cli_test(void) { return 1; }
PATCH
refused not-built "$work/new.patch"
expect_output "fs/proc/klp_cli_test\.c is a new file that no unit of this kernel compiles.*#include it from a file"

say "a patch that does not apply shows the rejected hunk"
edit stale fs/proc/meminfo.c 's/"MemTotal:       "/"MEMTOTAL:       "/'
sed -i 's/"MemFree: /"MemGone: /; s/"MemTotal: /"MemAll: /' "$work/stale.patch"
refused patch-does-not-apply "$work/stale.patch"
expect_output "patch-does-not-apply: fs/proc/meminfo\.c"
expect_output 'show_val_kb\(m, "MemAll: .*"MEMTOTAL: '

say "a patch that is in the kernel already"
sed 's/"MemTotal: /"MEMTOTAL: /' "$source/fs/proc/meminfo.c" >"$work/edited"
diff -u --label a/fs/proc/meminfo.c --label b/fs/proc/meminfo.c "$work/edited" "$source/fs/proc/meminfo.c" >"$work/reverse.patch" || true
refused patch-does-not-apply "$work/reverse.patch"
expect_output "this kernel's source already has its changes"

say "a patch that does not compile: the compiler's message, with the line in the patched source"
edit broken fs/proc/meminfo.c '/^static int meminfo_proc_show/i /* two */\n/* lines */
  s/i\.totalram\)/i.total_ram)/'
line=$(grep -n total_ram "$work/edited" | cut -d: -f1)
refused does-not-compile "$work/broken.patch"
expect_output "does-not-compile: fs/proc/meminfo\.o"
expect_output "fs/proc/meminfo\.c:$line:[0-9]+: error: .*total_ram"

say "a header whose change another unit does not follow"
edit header fs/proc/internal.h 's/name_to_int\(const struct qstr/name_to_number(const struct qstr/'
refused does-not-compile "$work/header.patch"
expect_output "does-not-compile: fs/proc/base\.o"
expect_output "changes fs/proc/internal\.h but not fs/proc/base\.c"

say "an image of its own: the vDSO"
edit vdso arch/x86/entry/vdso/vclock_gettime.c 's/^(\treturn __cvdso_gettimeofday\(tv, tz\));/\1 + 0;/'
refused special-image "$work/vdso.patch"
expect_output "arch/x86/entry/vdso/vclock_gettime\.c is not part of the running kernel's code"

say "a function that the kernel cannot redirect"
edit lib lib/cmdline.c "s/if \\(\\*\\*str == '-'\\)/if (**str == '+')/"
refused not-traceable "$work/lib.patch"
expect_output "not-traceable: get_option, lib/cmdline\.o, vmlinux"
expect_output "its callers cannot take its place: it is exported"

say "a function whose callers lie in more files than may join"
edit callers lib/vsprintf.c '/^int num_to_str\(/,/^}/s/^(\tint idx, len;)$/\1\n\n\tif (num == 64)\n\t\tnum = 46;/'
expect_status 1 build --max-caller-units 0 "$work/callers.patch"
expect_output "not-traceable: num_to_str"
expect_output "called from more files than shall join the build \(0\): .*seq_put_decimal_ll \(fs/seq_file\.o\)"
expect_output "give --max-caller-units 1"

say "several reasons are listed at once"
edit several fs/proc/meminfo.c 's/proc_create_single\("meminfo", 0,/proc_create_single("meminfo", 0400,/'
edit several net/socket.c '/struct file_operations socket_file_ops/,/};/s/no_llseek/noop_llseek/'
edit several lib/cmdline.c "s/if \\(\\*\\*str == '-'\\)/if (**str == '+')/"
edit several fs/proc/Makefile '1a# x'
refused build-rules "$work/several.patch"
expect_output "refused: 4 reasons"
expect_order "1\\. not-traceable: get_option" "2\\. changed-data: socket_file_ops"
expect_order "2\\. changed-data: socket_file_ops" "init-code: proc_meminfo_init"

say "--accept turns what is the author's to judge into a warning, and nothing else"
expect_status 3 build --accept init-code:proc_meminfo_init "$work/init.patch"
expect_output "warning: init-code: proc_meminfo_init"
expect_status 2 build --accept build-rules "$work/rules.patch"
expect_output "build-rules.*not the author's to judge"
