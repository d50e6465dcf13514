#!/bin/bash
# Wrong input: a message that names the file and says what to do, the right status, and nothing left.
. "$(dirname "$0")/common.sh"

# failed STATUS REGEX COMMAND...: the message, a hint (or CLI usage), nothing left.
failed() {
  local status=$1 regex=$2
  shift 2
  expect_status "$status" "$@"
  expect_output "$regex"
  [ "$status" = 2 ] || expect_output "hint: "
  [ "$(wc -l <"$output.stdout")" = 0 ] || wrong "an error belongs to stderr"
  expect_nothing_left
}

edit good fs/proc/meminfo.c 's/"MemTotal:       "/"MEMTOTAL:       "/'
object=$work/good.o
printf 'int f(int a) { return a + 1; }\nint v = 3;\n' | gcc -x c -c -g -ffunction-sections -fdata-sections -o "$object" -
size=$(stat -c %s "$object")

set_byte() { printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }  # FILE OFFSET BYTE

say "files that are no ELF, or not all of one"
: >"$work/empty"
echo 'no ELF' >"$work/text"
for bytes in 3 30 64 200 $((size / 2)) $((size - 40)); do head -c "$bytes" "$object" >"$work/cut.$bytes"; done
cp "$object" "$work/bits32"
set_byte "$work/bits32" 4 '\x01'
cp "$object" "$work/big_endian"
set_byte "$work/big_endian" 5 '\x02'
cp "$object" "$work/foreign"
set_byte "$work/foreign" 18 '\xb7'
declare -A message=(
  [empty]='empty: the file is empty' [text]='text: not an ELF file' [missing]='missing:? .*No such file|missing is missing'
  [bits32]='not a 64-bit ELF file' [big_endian]='not a little-endian ELF file' [cut.3]='not an ELF file' [cut.30]='truncated')
for file in empty text missing bits32 big_endian cut.3 cut.30 cut.64 cut.200 "cut.$((size / 2))" "cut.$((size - 40))"; do
  regex=${message[$file]:-$file: .*truncated}
  failed 4 "$regex" "$klp_diff" inspect "$work/$file"
  failed 4 "$regex" "$klp_diff" extract "$work/$file" "$object" -o "$work/out/x.o"
  failed 4 "$regex" "$klp_diff" extract "$object" "$work/$file" -o "$work/out/x.o"
  failed 4 "$regex" "$klp_diff" boot -k "$kernel" "$work/$file"
done
failed 4 'not a regular file' "$klp_diff" inspect "$work"
failed 4 'not a regular file' "$klp_diff" extract "$work" "$object"
failed 4 'is not a file' "$klp_diff" boot -k "$kernel" "$work"
failed 4 'it is a directory' build "$work"
failed 4 'different machines' "$klp_diff" extract "$object" "$work/foreign"
failed 4 'not a kernel module' "$klp_diff" inspect "$object"
expect_status 3 "$klp_diff" extract "$object" "$object"

say "patches that are none"
printf '\0\1\2\377' >"$work/binary"
failed 4 'missing: No such file' build "$work/missing"
failed 4 'empty: this is not a patch' build "$work/empty"
failed 4 'binary: this is not a patch' build "$work/binary"
head -n 6 "$work/good.patch" >"$work/short.patch"
failed 4 'short.patch:7: the last hunk is cut off' build "$work/short.patch"
sed 's/^@@.*/@@ -1,x +1 @@/' "$work/good.patch" >"$work/header.patch"
failed 4 'header.patch:3: malformed hunk header' build "$work/header.patch"
printf 'diff --git a/x.png b/x.png\nGIT binary patch\nliteral 0\n' >"$work/git.patch"
failed 4 'git.patch:2: a binary file is changed' build "$work/git.patch"

say "patches that leave the tree"
for path in ../../../../tmp/x a/../../x fs/../../x /tmp/x; do
  sed "s,^\(+++\|---\) [ab]/fs/proc/meminfo.c,\1 b/$path,; s, b//, /," "$work/good.patch" >"$work/leaves.patch"
  failed 4 'leaves.patch:[0-9]+: the path .* leaves the kernel tree' build "$work/leaves.patch"
done

say "options"
failed 2 'option' build --no-such-option "$work/good.patch"
failed 2 'there is nothing to build from' build
failed 2 'subcommand is required' "$klp_diff"
failed 2 'cannot be a module.s name' build --name 'a b' "$work/good.patch"
failed 2 'jobs' build -j many "$work/good.patch"
failed 2 'not the author.s to judge' build --accept not-built "$work/good.patch"
failed 2 'expected SECTION=BYTES' "$klp_diff" extract --table-size x "$object" "$object"
expect_status 0 "$klp_diff" --help
expect_status 0 "$klp_diff" build --help
expect_status 0 "$klp_diff" --version
expect_output '^klp-diff [0-9]'

say "the place of the module"
failed 4 "-o $work/none/x.ko: $work/none is not a directory" "$klp_diff" build -k "$kernel" -o "$work/none/x.ko" "$work/good.patch"

say "kernel names"
failed 4 "'fedora:40' is not the name of a kernel that can be fetched" "$klp_diff" build -k fedora:40 "$work/good.patch"
failed 4 "'../x' is not the name of a kernel" "$klp_diff" kernel show ../x
failed 4 'kernel debian:6.1.0-0-none-amd64 is not fetched' "$klp_diff" kernel remove debian:6.1.0-0-none-amd64

say "a kernel given by paths"
show() { "$klp_diff" kernel show -k "$kernel" "$@"; }
failed 4 'needs --config too' "$klp_diff" build --source "$source" "$work/good.patch"
failed 4 '--symvers .*missing: No such file' show --symvers "$work/missing"
expect_output 'hint: Module.symvers is in the linux-headers package'
failed 4 '--source .*good.o is not a directory' show --source "$object"
failed 4 '--vmlinux .* is a directory' show --vmlinux "$work"
failed 4 'text is not a 64-bit ELF file' show --vmlinux "$work/text"
failed 4 'foreign: livepatches are not made for kernels of ELF machine 183' show --vmlinux "$work/foreign"
failed 4 'good.o names no release' show --vmlinux "$object"
failed 4 'text is not a kernel config' show --config "$work/text"

say "a vmlinux without symbols, without debug information"
vmlinux=$("$klp_diff" kernel show "$kernel" | sed -n 's/^vmlinux  *//p')
strip -o "$work/stripped" "$vmlinux"
failed 4 'stripped is stripped: it has no symbol table' show --vmlinux "$work/stripped"
strip -g -o "$work/no_debug" "$vmlinux"
failed 4 'no_debug has no debug information' show --vmlinux "$work/no_debug"
rm "$work/stripped" "$work/no_debug"

say "a changed config"
config=$("$klp_diff" kernel show "$kernel" | sed -n 's/^config  *//p')
sed 's/^CONFIG_HZ=.*/CONFIG_HZ=1000/; s/^CONFIG_LOCKUP_DETECTOR=y/CONFIG_LOCKUP_DETECTOR=n/' "$config" >"$work/config"
failed 4 'config-mismatch: .* differs from the config .* in 2 symbols: CONFIG_HZ: [0-9]+ -> 1000 CONFIG_LOCKUP_DETECTOR: y -> n' \
  show --config "$work/config"
sed '/^CONFIG_LIVEPATCH=/d' "$config" >"$work/config"
failed 4 'CONFIG_LIVEPATCH' show --config "$work/config"

say "another compiler than the kernel's"
compiler=$("$klp_diff" kernel show "$kernel" | sed -nE 's/^compiler +([^:]*):.*/\1/p')
mkdir "$work/bin"
printf '#!/bin/sh\necho "%s (Debian 99.1.0-1) 99.1.0"\n' "$compiler" >"$work/bin/$compiler"
chmod +x "$work/bin/$compiler"
failed 4 "compiler-mismatch: the kernel was built by '$compiler .*', but $compiler here is '$compiler .Debian 99.1.0-1. 99.1.0'" \
  env PATH="$work/bin:$PATH" "$klp_diff" build -k "$kernel" "$work/good.patch"
expect_output "hint: apt-get install $compiler \\(version [0-9]"
rm "$work/bin/$compiler"
for program in sh patch diff; do ln -s "$(command -v "$program")" "$work/bin"; done
failed 4 "compiler-mismatch: .* and $compiler is not installed" env PATH="$work/bin" "$klp_diff" build -k "$kernel" "$work/good.patch"
expect_output "hint: apt-get install $compiler "
