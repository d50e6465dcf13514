#!/bin/bash
# What a touched header does to files that the patch does not touch; the compiler launcher that serves these compilations; and changed
# data that goes along because the author accepts it.
. "$(dirname "$0")/common.sh"

say "a header that a generated file is made from"
edit generated arch/x86/include/asm/sigframe.h '/^struct rt_sigframe_ia32/,/^}/s/^\tu32 puc;/&\n\tu32 klp_gap[2];/'
refused header-reach "$work/generated.patch"
expect_output "header-reach: arch/x86/kernel/asm-offsets\.s"
expect_output "is made from arch/x86/kernel/asm-offsets\.c, which the change of arch/x86/include/asm/sigframe\.h reaches"
expect_output "none compiled"
expect_output "1 other unit that is not proven unaffected was not compiled: the patch is refused anyway"

say "a member at the end of a struct that another file allocates"
edit grown fs/kernfs/kernfs-internal.h '/^struct kernfs_super_info/,/^}/s/^\tstruct list_head\tnode;$/&\n\tunsigned long\t\tklp_seen;/'
edit grown fs/kernfs/dir.c 's/^\t\tns = kernfs_info\(dir->i_sb\)->ns;$/&\n\t\tkernfs_info(dir->i_sb)->klp_seen++;/'
refused changed-layout "$work/grown.patch"
expect_output "the other units that include the touched headers were not looked at"
edit grown fs/kernfs/mount.c 's/^\tinfo->root = kfc->root;$/&\n\tinfo->klp_seen = 1;/'
refused changed-layout "$work/grown.patch"
expect_output "1\. changed-layout: kernfs_super_info"
expect_output "has 48 bytes instead of 40: new member klp_seen at offset 40"
expect_output "klp_seen at offset 40; no changed function takes or declares it"
expect_output "allocated by kernfs_get_tree\(\)"

say "a file that the patch does not touch joins when the header changes its code"
edit joins fs/proc/internal.h 's/^(#define FIRST_PROCESS_ENTRY) 256/\1 512/'
edit joins fs/proc/root.c 's/if \(unlikely\(error <= 0\)\)/if (unlikely(error <= 0 || error > 9))/'
expect_status 0 build --name joins --json "$work/report.json" "$work/joins.patch"
expect_output "replaced +proc_pid_readdir fs/proc/internal\.h:[0-9]+ changes the macro FIRST_PROCESS_ENTRY"
python3 - "$work/report.json" <<'PYTHON'
import json, sys
report = json.load(open(sys.argv[1]))
changed = {(u["unit"], f["name"]) for u in report["units"] for f in u["functions"] if f["change"] == "changed"}
assert changed == {("fs/proc/base.o", "proc_pid_readdir"), ("fs/proc/root.o", "proc_root_readdir")}, changed
PYTHON
expect_status 0 "$klp_diff" inspect "$work/out/joins.ko"
expect_output "proc_pid_readdir"
expect_output "proc_root_readdir"

say "a launcher is put before each compilation, also of the files that join, and the module is the same"
mkdir "$work/launched"
cat >"$work/launcher" <<'LAUNCHER'
#!/bin/sh
echo "$*" >>"$1"
shift
exec "$@"
LAUNCHER
chmod +x "$work/launcher"
expect_status 0 "$klp_diff" build -k "$kernel" --name joins -o "$work/launched" --no-cache \
  --cc-launcher "$work/launcher $work/launches" "$work/joins.patch"
for file in base root; do  # from the original and from the patched source
  last="grep for the launches of fs/proc/$file.c"
  [ "$(grep -c -e " -c .*fs/proc/$file\.c" "$work/launches")" = 2 ] || wrong "not two compilations of fs/proc/$file.c"
done
last="cmp of the modules with and without a launcher"
cmp "$work/out/joins.ko" "$work/launched/joins.ko"
rm "$work/out/joins.ko"

say "a changed table passed to a call: refused, and with --accept the module carries the copy"
edit table fs/devpts/inode.c '/^static const match_table_t tokens/,/^}/s/"uid=%u"/"klp_user=%u"/'
refused changed-data "$work/table.patch"
expect_output "changed-data: tokens, fs/devpts/inode\.o.*passed to match_token at parse_mount_options\+0x"
expect_status 0 build --accept changed-data:tokens --name table "$work/table.patch"
expect_output "replaced +parse_mount_options unchanged itself, but reads tokens, which changed"
expect_output "warning: changed-data: tokens.*\(accepted\)"
expect_no_output "what to do:"
last="readelf of the module"
readelf -W --syms "$work/out/table.ko" >"$output"
expect_output " OBJECT +LOCAL +DEFAULT +[0-9]+ tokens( |$)"
expect_output " FUNC +LOCAL +DEFAULT +[0-9]+ parse_mount_options( |$)"
grep -qa 'klp_user=%u' "$work/out/table.ko"
