#!/bin/bash
# Two build trees instead of a patch: the same module, equal objects dropped, and a word about everything that is no unit of the kernel.
#
# The trees are made as a user would: one compiled, copied, changed, and compiled again where make would do so. kbuild itself would take
# minutes for its preparations, so its recorded commands are run, each unit with the .cmd file that kbuild saves.
. "$(dirname "$0")/common.sh"

units="fs/proc/meminfo.o fs/proc/version.o fs/proc/loadavg.o fs/proc/uptime.o fs/proc/cmdline.o fs/proc/consoles.o fs/proc/softirqs.o
  fs/proc/devices.o lib/bcd.o lib/argv_split.o arch/x86/lib/hweight.o arch/x86/entry/vdso/vgetcpu.o
  arch/x86/entry/vdso/vdso32/sigreturn.o drivers/block/zram/zcomp.o drivers/block/zram/zram_drv.o"
source=$(source_of_kernel)

# make_tree DIR: the kernel's tree by links, with real directories where objects will lie.
make_tree() {
  local directory entry
  # All of them before the first link: a directory made below a link would lie in the kernel's own tree.
  for directory in $units; do mkdir -p "$1/${directory%/*}"; done
  (cd "$1" && find . -type d) >"$work/directories"
  while IFS= read -r directory; do
    for entry in "$source/$directory"/* "$source/$directory"/.config; do
      case $entry in *.o) continue ;; esac
      [ ! -e "$entry" ] || [ -e "$1/$directory/${entry##*/}" ] || ln -s "$entry" "$1/$directory/${entry##*/}"
    done
  done <"$work/directories"
}

# compile TREE UNIT: as kbuild does, in the tree's root, and the command saved.
compile() {
  local command
  command=$(cat "$work/commands/${2//\//_}")
  (cd "$1" && sh -c "set -e; rm -f $2; $command" &&
    printf 'savedcmd_%s := %s\n\nsource_%s := %s\n' "$2" "$command" "$2" "${command##* -c -o "$2" }" | sed 's/ *;.*objtool.*//' \
      >"${2%/*}/.${2##*/}.cmd")
}
export -f compile
export work
compile_all() { printf "%s\n" "${@:2}" | xargs -P 2 -I UNIT bash -ec "compile $1 UNIT"; }

mkdir "$work/commands"
for unit in $units; do
  "$klp_diff" kernel show "$kernel" --unit "$unit" | sed '/^part of /d' >"$work/commands/${unit//\//_}"
done

say "two trees"
edit change fs/proc/meminfo.c 's/"MemTotal:       "/"MEMTOTAL:       "/'
edit change drivers/block/zram/zram_drv.c '/^static ssize_t initstate_show/,/^}/s/"%u\\n", val/"state %u major %d\\n", val, zram_major/'
make_tree "$work/a"
last="compiling the original tree"
compile_all "$work/a" $units
cp -a "$work/a" "$work/linux-Fixed"
b=$work/linux-Fixed
for file in fs/proc/meminfo.c drivers/block/zram/zram_drv.c; do cp --remove-destination "$source/$file" "$b/$file"; done
patch -s -d "$b" -p1 <"$work/change.patch"
last="compiling the patched tree"
# The others that make compiles again differ in debug information: it names another directory.
compile_all "$b" fs/proc/meminfo.o drivers/block/zram/zram_drv.o drivers/block/zram/zcomp.o fs/proc/version.o arch/x86/lib/hweight.o \
  arch/x86/entry/vdso/vdso32/sigreturn.o
last="the objects of two directories differ in bytes"
for unit in drivers/block/zram/zcomp.o arch/x86/entry/vdso/vdso32/sigreturn.o; do  # the second is a 32-bit file
  ! cmp -s "$work/a/$unit" "$b/$unit" || wrong "$unit is equal in bytes"
done
# What lies beside units and differs: products of the links, programs of the build.
echo a >"$work/a/vmlinux.o"
echo b >"$b/vmlinux.o"
for tree in "$work/a" "$b"; do
  ld -r -o "$tree/drivers/block/zram/zram.o" "$tree"/drivers/block/zram/z*.o
  cp "$tree/drivers/block/zram/zram.o" "$tree/drivers/block/zram/zram.mod.o"
  mkdir "$tree/usr.new" && rm "$tree/usr" && mv "$tree/usr.new" "$tree/usr"
  cp "$tree/vmlinux.o" "$tree/usr/gen_init_cpio.o"
done

trees() { expect_status "$1" "$klp_diff" build -k "$kernel" -o "$work/out" --original-tree "$work/a" --patched-tree "${@:2}"; }
refused_trees() {
  trees 1 "${@:2}"
  expect_output "[0-9]+\\. $1: "
  expect_nothing_left
}
failed_trees() {
  trees 4 "$@"
  expect_nothing_left
}

say "make the module that the patch makes"
expect_status 0 build "$work/change.patch" --name same
mv "$work/out/same.ko" "$work/patch.ko"
trees 0 "$b" --name same --json "$work/report.json"
mv "$work/out/same.ko" "$work/trees.ko"
expect_output "fs/proc/meminfo.o, part of vmlinux"
expect_output "drivers/block/zram/zram_drv.o, part of zram"
expect_no_output "zcomp.o"
last="comparison of the modules' sections"
python3 - "$work/patch.ko" "$work/trees.ko" <<'PYTHON'
import struct, sys
def sections(path):
    data = open(path, "rb").read()
    at, = struct.unpack_from("<Q", data, 40)
    count, names = struct.unpack_from("<HH", data, 60)
    headers = [struct.unpack_from("<IIQQQQIIQQ", data, at + 64 * i) for i in range(count)]
    text = lambda offset: data[offset:data.index(b"\0", offset)].decode()
    elsewhere = lambda index: index >= len(headers) or text(headers[names][4] + headers[index][0]) != ".modinfo"
    found = []
    for name, kind, flags, address, offset, size, link, info, align, entry in headers:
        name = text(headers[names][4] + name)
        body = b"" if kind == 8 else data[offset:offset + size]
        # What may differ: .modinfo, where the digests of the patches are missing, with the places of what follows them there;
        # and the digest of the whole file.
        if name in (".modinfo", ".note.gnu.build-id"): size, body = 0, b""
        if kind == 2: body = [s if elsewhere(s[3]) else s[:4] + (0,) + s[5:] for s in struct.iter_unpack("<IBBHQQ", body)]
        found.append((name, kind, flags, size, link, info, align, entry, body))
    return found
a, b = map(sections, sys.argv[1:])
assert len(a) > 20, a
for x, y in zip(a, b):
    assert x == y, f"{x[0]} differs"
assert len(a) == len(b)
assert any(name.startswith(".klp.rela.zram") for name, *_ in a)
PYTHON
last="the report"
python3 - "$work/report.json" <<'PYTHON'
import json, sys
report = json.load(open(sys.argv[1]))
assert report["command"] == "build" and report["outcome"] == "ok"
changed = sorted((u["object"], f["name"]) for u in report["units"] for f in u["functions"] if f["change"] == "changed")
assert changed == [("vmlinux", "meminfo_proc_show"), ("zram", "initstate_show")], changed
assert len(report["units"]) == 2
PYTHON

say "without kbuild's .cmd files, too, and the name is the tree's"
cp -a "$b" "$work/bare"
find "$work/bare" -name '.*.cmd' -delete
trees 0 "$work/bare" --name same
last="cmp of the two modules"
cmp "$work/trees.ko" "$work/out/same.ko"
rm "$work/out/same.ko"
(cd "$b" && trees 0 .)
[ -f "$work/out/livepatch_linux_fixed.ko" ] || wrong "no module livepatch_linux_fixed.ko"
rm "$work/out/livepatch_linux_fixed.ko"

say "nothing changed but the line of each WARN_ON()"
cp -a "$work/a" "$work/same"
sed '/^static const struct block_device_operations zram_devops/i /* This comment\n * moves all lines\n * below. */' \
  "$source/drivers/block/zram/zram_drv.c" >"$work/moved.c"
grep -c 'WARN_ON' "$work/moved.c" >"$output"
! cmp -s "$work/moved.c" "$source/drivers/block/zram/zram_drv.c" || wrong "no line moved"
cp --remove-destination "$work/moved.c" "$work/same/drivers/block/zram/zram_drv.c"
last="compiling again"
compile_all "$work/same" fs/proc/meminfo.o drivers/block/zram/zram_drv.o
trees 3 "$work/same" --json "$work/report.json"
expect_output "unchanged: "
expect_nothing_left

say "what cannot be patched is refused"
broken() {
  rm -rf "$work/broken"
  cp -a "$b" "$work/broken"
}
broken
cp "$b/fs/proc/version.o" "$work/broken/arch/x86/entry/vdso/vgetcpu.o"
cp "$b/fs/proc/version.o" "$work/broken/arch/x86/lib/hweight.o"
rm "$work/broken/lib/bcd.o"
cp "$b/fs/proc/version.o" "$work/broken/lib/none.o"
refused_trees special-image "$work/broken"
expect_output "special-image: arch/x86/entry/vdso/vgetcpu.o"
expect_output "asm-source: arch/x86/lib/hweight.o"
expect_output "not-built: lib/bcd.o"
expect_output "not-built: lib/none.o"
broken
cp "$b/fs/proc/version.o" "$work/broken/fs/proc/stat.o"
refused_trees not-built "$work/broken"
expect_output "1 object only in .*fs/proc/stat.o"
broken
sed -i 's/ -c -o / -DMODULE&/' "$work/broken/fs/proc/.meminfo.o.cmd"
refused_trees config-mismatch "$work/broken"

say "trees that cannot be compared"
broken
sed -i 's/ -f[a-z]*-sections//g' "$work/commands/fs_proc_meminfo.o"
compile_all "$work/broken" fs/proc/meminfo.o
failed_trees "$work/broken"
expect_output "fs/proc/meminfo.o was compiled without -ffunction-sections"
expect_output "KCFLAGS="
broken
printf 'BC\300\336rest' >"$work/broken/fs/proc/meminfo.o"
failed_trees "$work/broken"
expect_output "is LLVM bitcode"
head -c 3000 "$b/fs/proc/meminfo.o" >"$work/broken/fs/proc/meminfo.o"
failed_trees "$work/broken"
expect_output "fs/proc/meminfo.o: "
broken
sed 's/^CONFIG_NUMA=y/# CONFIG_NUMA is not set/' "$source/.config" >"$work/config"
cp --remove-destination "$work/config" "$work/broken/.config"
failed_trees "$work/broken"
expect_output "config-mismatch: .*CONFIG_NUMA"
failed_trees "$work/commands"
expect_output "is no build tree of a kernel"
failed_trees "$work/none"
expect_output "is not a directory"

say "wrong usage"
trees 2 "$work/a"
expect_output "are the same tree"
trees 2 "$b" "$work/change.patch"
expect_status 2 build --original-tree "$work/a"
expect_output "without --patched-tree"
expect_status 2 build --patched-tree "$work/a"
expect_status 2 build
expect_output "nothing to build from"
