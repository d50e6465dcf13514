#!/bin/bash
# The macros for patch authors, on a kernel that has none of their headers: callbacks, states, what is to be ignored, system calls, static
# calls. What callbacks and shadow variables do in a running kernel is a matter of the VM tests; here it is that they build, and what is said.
. "$(dirname "$0")/common.sh"

last_line='$a'

say "kpatch's headers: no other function is changed by them, and every macro compiles"
edit kpatch fs/proc/version.c "/^#include \"internal.h\"/a #include \"kpatch-macros.h\"\n#include \"kpatch-syscall.h\"\n#include \"kpatch-shadow.h\"
  s/^(\tseq_printf\(m, linux_proc_banner,)/\tKPATCH_PRINTK(\"klp %d\\\\n\", KPATCH_STATIC_CALL(cond_resched)());\n\1/
  $last_line static int set_up(patch_object *obj)\n{\n\treturn kpatch_shadow_alloc(obj, \"x\", 8, GFP_KERNEL) ? 0 : -ENOMEM;\n}\nKPATCH_PRE_PATCH_CALLBACK(set_up);
  $last_line static void tear_down(patch_object *obj)\n{\n\tkpatch_shadow_free(obj, \"x\");\n}\nKPATCH_POST_UNPATCH_CALLBACK(tear_down);
  $last_line KPATCH_FORCE_UNSAFE(version_proc_show);"
expect_status 0 build --json "$work/report.json" "$work/kpatch.patch"
expect_output "added +set_up .*pre-patch callback"
expect_output "added +tear_down .*post-unpatch callback"
expect_output "stall-risk: version_proc_show"
python3 - "$work/report.json" <<'PYTHON'
import json, sys
report = json.load(open(sys.argv[1]))
functions = {f["name"]: f["change"] for u in report["units"] for f in u["functions"]}
assert functions == {"version_proc_show": "changed", "set_up": "new", "tear_down": "new"}, functions
PYTHON
expect_status 0 "$klp_diff" inspect "$work/out/livepatch_kpatch.ko"
expect_output "callbacks \(2\) vmlinux:pre_patch +set_up vmlinux:post_unpatch +tear_down"

say "changes that the author has ignored are left out, and stay in the report"
edit ignored fs/proc/array.c 's/"R \(running\)"/"R (RUNNING)"/
  s/^#include "internal.h"/&\n#include "kpatch-macros.h"/
  s/"\\nPPid:/"\\nPPID:/
  $a KPATCH_IGNORE_SECTION(".rodata.task_state_array");'
expect_status 0 build "$work/ignored.patch"
expect_output "warning: ignored-change: task_state_array"
expect_no_output "changed-data"
edit only fs/proc/version.c 's/(\tseq_printf\(m, linux_proc_banner,)/\tseq_putc(m, 32);\n\1/
  s/^#include "internal.h"/&\n#include "kpatch-macros.h"/; $a KPATCH_IGNORE_FUNCTION(version_proc_show);'
expect_status 3 build "$work/only.patch"
expect_output "warning: ignored-change: version_proc_show"

say "a system call by the macros of both"
expect_status 0 build "$root/test/patches/syscall-kpatch.patch"
expect_output "replaced +__x64_sys_umask"
expect_status 0 build "$root/test/patches/syscall-klp-build.patch"
expect_output "replaced +__x64_sys_umask"

say "a static call by klp-build's macro"
edit static_call fs/proc/version.c 's/^#include "internal.h"/#include <linux\/livepatch_helpers.h>\n&/
  s/(\tseq_printf\(m, linux_proc_banner,)/\tKLP_STATIC_CALL(cond_resched)();\n\1/'
expect_status 0 build "$work/static_call.patch"
expect_output "replaces 1 function$|replaces 1 function "

say "a state"
expect_status 0 build "$root/test/patches/state-version-2.patch"
expect_output "declares the system state 1802268674, version 2"
expect_status 0 "$klp_diff" inspect --json - "$work/out/livepatch_state_version_2.ko"
expect_output '"states": \[ \{ "id": 1802268674, "version": 2 \} \]'

say "a state with the id 0, and two callbacks of one kind in a file, do not compile"
edit zero fs/proc/version.c 's/^#include "internal.h"/&\n#include "klp-diff.h"/; $a KLP_DIFF_STATE(0, 1);'
rm -f "$work"/out/*
refused does-not-compile "$work/zero.patch"
callback='static int set_up_NAME(struct klp_object *obj)\n{\n\treturn 0;\n}\nKLP_PRE_PATCH_CALLBACK(set_up_NAME);'
edit twice fs/proc/version.c "s/^#include \"internal.h\"/&\n#include \"klp-diff.h\"/; \$a ${callback//NAME/one}
  \$a ${callback//NAME/two}"
refused does-not-compile "$work/twice.patch"

say "two of one kind for vmlinux, from two files"
for name in version loadavg; do
  edit both "fs/proc/$name.c" "s/^#include \"internal.h\"/&\n#include \"klp-diff.h\"/; \$a ${callback//NAME/$name}"
done
refused callback "$work/both.patch"
expect_output "vmlinux has two pre-patch callbacks: set_up_loadavg of fs/proc/loadavg.o and set_up_version of fs/proc/version.o"

say "a callback that the kernel has already"
edit existing fs/proc/version.c 's/^#include "internal.h"/&\n#include "klp-diff.h"/
  $a extern int avenrun_n_present(struct klp_object *obj);\nKLP_PRE_PATCH_CALLBACK(avenrun_n_present);'
refused callback "$work/existing.patch"
expect_output "callback: avenrun_n_present"

say "the examples of docs/author-guide.md"
awk -v to="$work/guide" '/^```diff/ { file = to (++n) ".patch"; next } /^```/ { file = "" } file { print >file }' "$root/docs/author-guide.md"
[ "$(ls "$work"/guide*.patch | wc -l)" = 3 ] || wrong "the guide has other examples than those this test was written for"
for example in "$work"/guide*.patch; do
  expect_status 0 build "$example"
  expect_output "ok: "
done
