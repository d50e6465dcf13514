#!/bin/bash
# compare: two builds of a unit, modules of the kernel, directories, and wrong input.
. "$(dirname "$0")/common.sh"

unit() { # NAME SED-SCRIPT: $work/NAME/unit.o
  mkdir -p "$work/$1"
  sed -E "$2" >"$work/$1/unit.c" <<'C'
extern int printk(const char *text, ...);
int limit = 5;
int small(int x) { return x + 1; }
int large(int x) { while (x < 100) x = x * 3 + printk("large %d", x); return x; }
C
  (cd "$work/$1" && gcc -c -O2 -g -fno-pic -mcmodel=kernel -ffunction-sections -fdata-sections unit.c)
}

say "objects"
unit before ''
unit after 's/x \+ 1/x + 2/; s/limit = 5/limit = 6/'
unit lines '1s/^/\n\n/'
expect_status 1 "$klp_diff" compare "$work/before/unit.o" "$work/after/unit.o"
expect_output '^different: functions: 1 changed; variables: 1 changed; in 1 of 1 binary'
expect_output 'changed small .*code differs at'
expect_output 'changed limit .*content differs at \+0x0'
expect_status 0 "$klp_diff" compare "$work/before/unit.o" "$work/lines/unit.o"
expect_output '^same: no function and no variable differs in 1 binary'

say "directories, and what only one of them has"
cp "$work/after/unit.o" "$work/after/fresh.o"
expect_status 1 "$klp_diff" compare "$work/before" "$work/after" --json "$work/out/compare.json"
expect_output 'fresh\.o: only in the second build'
python3 - "$work/out/compare.json" <<'PYTHON'
import json, sys
report = json.load(open(sys.argv[1]))
assert report["schema"] == "klp-diff/1" and report["outcome"] == "different" and report["binaries"] == 2, report
by_name = {unit["unit"]: unit for unit in report["units"]}
assert by_name["fresh.o"]["only"] == "after"
assert [f["name"] for f in by_name["unit.o"]["functions"]] == ["small"], by_name
assert by_name["unit.o"]["functions"][0]["because"][0].startswith("code differs at")
PYTHON
rm "$work/out/compare.json"

say "the kernel with itself, and modules: one with itself but for its name, two that have little in common"
expect_status 0 "$klp_diff" compare "$kernel" "$kernel"
expect_output '^same: '
image=$("$klp_diff" kernel show "$kernel" | sed -n 's|^config *||p' | xargs dirname | xargs dirname)
loop=$(find "$image" -name 'loop.ko' | head -n 1)
null_blk=$(find "$image" -name 'null_blk.ko' | head -n 1)
cp "$loop" "$work/copy.ko"
printf '\0' >>"$work/copy.ko"  # other bytes: compared, not skipped
expect_status 0 "$klp_diff" compare "$loop" "$work/copy.ko"
expect_status 1 "$klp_diff" compare "$loop" "$null_blk" --stat
expect_output ' new, [0-9]+ removed'

say "filters, and noise that counts"
unit warned 's/return x \+ 1;/{ static int told; if (x == 7 \&\& !told) { told = 1; printk("told %d", x); } return x + 1; }/'
expect_status 0 "$klp_diff" compare "$work/before/unit.o" "$work/after/unit.o" --ignore functions,variables
expect_status 1 "$klp_diff" compare "$work/before/unit.o" "$work/after/unit.o" --only variables
expect_output '^different: functions: none; variables: 1 changed;'
expect_status 0 "$klp_diff" compare "$work/before/unit.o" "$work/after/unit.o" --only new --only removed
expect_status 1 "$klp_diff" compare "$work/before/unit.o" "$work/warned/unit.o" --only new
expect_output '^different: functions: none; variables: 1 new;'
expect_status 2 "$klp_diff" compare "$work/before/unit.o" "$work/after/unit.o" --ignore function
expect_output '--ignore function: there is no such class'
expect_output 'hint: known are functions, variables, binaries'
expect_status 2 "$klp_diff" compare "$work/before/unit.o" "$work/after/unit.o" --strict lines
expect_output 'hint: known are build-information, line-numbers'
mkdir -p "$work/l1" "$work/l2"
echo 'extern void told(const char *, int); void f(void) { told(__FILE__, __LINE__); }' >"$work/l1/l.c"
sed '1s/^/\n\n/' "$work/l1/l.c" >"$work/l2/l.c"
for d in l1 l2; do (cd "$work/$d" && gcc -c -O2 -g -ffunction-sections l.c); done
expect_status 0 "$klp_diff" compare "$work/l1/l.o" "$work/l2/l.o"
expect_output 'not counted as differences: line numbers 1'
expect_status 1 "$klp_diff" compare "$work/l1/l.o" "$work/l2/l.o" --strict line-numbers
expect_output 'changed f .*line numbers'

say "a module of another name, and names of kernels that are none"
mkdir -p "$work/r1" "$work/r2"
cp "$loop" "$null_blk" "$work/r1" && cp "$null_blk" "$work/r2" && cp "$loop" "$work/r2/circle.ko"
expect_status 1 "$klp_diff" compare "$work/r1" "$work/r2" --json "$work/out/renamed.json"
expect_output 'circle.ko: renamed from loop.ko; functions: none'
grep -q '"renamed_from": *"loop.ko"' "$work/out/renamed.json"
rm "$work/out/renamed.json"
expect_status 0 "$klp_diff" compare "$work/r1" "$work/r2" --ignore renamed
expect_status 4 "$klp_diff" compare "$kernel" debian:9.9
expect_output "'debian:9.9' is not the name of a kernel"

say "types of a module, from its debug information"
files=$("$klp_diff" kernel show "$kernel" | sed -n 's|^module files *||p')
cp "$(find "$files" -name 'loop.ko' | head -n 1)" "$work/copy.ko"
printf '\0' >>"$work/copy.ko"
expect_status 0 "$klp_diff" compare "$(find "$files" -name 'loop.ko' | head -n 1)" "$work/copy.ko"
! grep -q 'not compared: types' "$output"
expect_status 0 "$klp_diff" compare "$loop" "$loop" --stat

say "types, the configuration, the compiler, exported symbols"
struct() { # NAME MEMBERS
  mkdir -p "$work/$1"
  echo "struct s { $2 }; int g(struct s *s) { return s->a; }" >"$work/$1/t.c"
  (cd "$work/$1" && gcc -c -O2 -g -ffunction-sections t.c)
}
struct t1 'int a; int b;'
struct t2 'int a; int b; long c;'
expect_status 1 "$klp_diff" compare "$work/t1/t.o" "$work/t2/t.o"
expect_output ' types: 1 changed'
expect_output 'changed struct s .*16 bytes instead of 8; new member c'
printf 'CONFIG_SMP=y\nCONFIG_NR_CPUS=64\n' >"$work/t1/.config"
printf 'CONFIG_NR_CPUS=128\nCONFIG_NEW=y\n' >"$work/t2/.config"
expect_status 0 "$klp_diff" compare "$work/t1" "$work/t2" --only config
expect_output ' configuration: 1 changed, 1 new, 1 removed'
expect_output 'changed CONFIG_NR_CPUS +128 instead of 64'
expect_output ' not compared: types'
objcopy --update-section .comment=<(printf 'GCC: other\0') "$work/t1/t.o" "$work/other.o"
expect_status 0 "$klp_diff" compare "$work/t1/t.o" "$work/other.o"
expect_output ' compiler: 1 changed'

say "what a livepatch could carry"
traced() { # NAME SED-SCRIPT
  mkdir -p "$work/$1"
  sed -E "$2" >"$work/$1/traced.c" <<'C'
#define notrace __attribute__((no_instrument_function))
int value = 1;
notrace __attribute__((noipa)) static int leaf(int x) { return x + 1; }
int root(int x) { return leaf(x) + value; }
__attribute__((section(".init.text"))) int boot(int x) { return x * 3; }
C
  (cd "$work/$1" && gcc -c -O2 -pg -mfentry -mrecord-mcount -fno-pic -mcmodel=kernel traced.c -o traced.o &&
    ld -r traced.o -o traced.ko)
}
traced a1 ''
traced a2 's/x \+ 1/x + 2/; s/x \* 3/x * 5/; s/value = 1/value = 2/; s/\+ value/- value/'
expect_status 1 "$klp_diff" compare "$work/a1/traced.ko" "$work/a2/traced.ko" --livepatch
expect_output 'functions: 1 patched, 1 lifted, 1 inert'
expect_output 'variables: 1 refused'
expect_output 'lifted +leaf .*called by root'
expect_output 'the whole of it needs a reboot'

say "POWER: addresses in halves, linked at two places"
power() { # NAME SED-SCRIPT START
  mkdir -p "$work/$1"
  sed -E "$2" >"$work/$1/power.c" <<'C'
extern int printk(const char *text, ...);
int limit = 5;
__attribute__((noipa)) static int helper(int x) { return x + limit; }
int first(int x) { return printk("first %d", x) + helper(x); }
int second(int x) { return x > 3 ? helper(x) : first(x); }
__attribute__((noipa)) int printk(const char *text, ...) { return text[0]; }
C
  (cd "$work/$1" && powerpc64le-linux-gnu-gcc -O2 -mcmodel=medium -ffunction-sections -fdata-sections -c power.c &&
    powerpc64le-linux-gnu-ld -e 0 -Ttext-segment="$3" -o image power.o)
}
power p1 '' 0xc000000000000000
power p2 '1s/^/\n/' 0xc000000000400000
power p3 's/first %d/first: %d/' 0xc000000000400000
expect_status 0 "$klp_diff" compare "$work/p1/image" "$work/p2/image"
expect_status 1 "$klp_diff" compare "$work/p1/image" "$work/p3/image"
expect_output 'functions: 2 changed; variables: none'
expect_output 'changed first .*"first: %d instead of "first %d'

say "wrong input"
: >"$work/empty.o"
mkdir "$work/nothing"
echo 'int f(void) { return 1; }' | powerpc64le-linux-gnu-gcc -x c -c -o "$work/ppc.o" -
expect_status 4 "$klp_diff" compare "$work/before/unit.o" "$work/no-such.o"
expect_output 'no-such\.o: no such file or directory'
expect_output 'hint: give two files, directories'
expect_status 4 "$klp_diff" compare "$work/empty.o" "$work/empty.o"
expect_output 'empty\.o: the file is empty'
expect_status 4 "$klp_diff" compare /etc/passwd /etc/passwd
expect_output '/etc/passwd: not an ELF file'
expect_status 4 "$klp_diff" compare "$work/before/unit.o" "$work/empty.o"
expect_output 'empty\.o'
expect_status 4 "$klp_diff" compare "$work/before" "$work/nothing"
expect_output 'holds no vmlinux, no module and no object'
expect_status 4 "$klp_diff" compare "$work/before/unit.o" "$work/ppc.o"
expect_output 'for different architectures'
expect_status 4 "$klp_diff" compare "$work/before/unit.o" "$work/after"
expect_output 'is one file, the other side is not'
expect_status 2 "$klp_diff" compare "$work/before/unit.o"
for side in before after; do
  echo 'int printk(const char *text, ...) { return text[0]; }' | gcc -x c -O2 -fno-pic -mcmodel=kernel -c -o "$work/printk.o" -
  ld -o "$work/$side/vmlinux" -Ttext-segment=0xffffffff81000000 -e 0 "$work/$side/unit.o" "$work/printk.o"
  nm -n "$work/$side/vmlinux" >"$work/$side.map"
  strip -o "$work/$side.stripped" "$work/$side/vmlinux"
done
expect_status 4 "$klp_diff" compare "$work/before.stripped" "$work/after.stripped"
expect_output 'is stripped: it has no symbols'
expect_output 'hint: give the unstripped file .*System.map with --symbols-a'
expect_status 1 "$klp_diff" compare "$work/before.stripped" "$work/after.stripped" --symbols-a "$work/before.map" --symbols-b "$work/after.map"
expect_output 'functions: 1 changed; variables: 1 changed;'
expect_output 'changed small '
sed 's/^[0-9a-f]*/0000000000000000/' "$work/before.map" >"$work/zero.map"
expect_status 4 "$klp_diff" compare "$work/before.stripped" "$work/after.stripped" --symbols-a "$work/zero.map"
expect_output 'are 0: read kallsyms as root'
rm -r "$work"/before/vmlinux "$work"/after/vmlinux

say "a function that one of two linked images, or modules, has inlined"
for how in noinline always_inline; do
  unit "$how" "s/^int small.*/static __inline __attribute__((__${how}__)) int helper(int x) { return x * 7 + printk(\"helper\"); }\nint small(int x) { return helper(x) + 1; }/"
  ld -o "$work/$how/vmlinux" -Ttext-segment=0xffffffff81000000 -e 0 "$work/$how/unit.o" "$work/printk.o"
  cp "$work/$how/unit.o" "$work/$how/unit.ko"
done
for binary in vmlinux unit.ko; do
  expect_status 1 "$klp_diff" compare "$work/noinline/$binary" "$work/always_inline/$binary"
  expect_output 'removed helper \(unit.c\) .*is inlined now, into small '
  expect_status 1 "$klp_diff" compare "$work/always_inline/$binary" "$work/noinline/$binary"
  expect_output 'new helper \(unit.c\) .*was inlined before, into small '
done

say "debug information that cannot be read does not end the comparison of code"
for side in before after; do
  objcopy -O binary --only-section=.debug_info --set-section-flags .debug_info=alloc "$work/$side/unit.o" "$work/info"
  head -c "$(stat -c %s "$work/info")" /dev/zero | tr '\0' '\377' >"$work/info.bad"
  objcopy --update-section .debug_info="$work/info.bad" "$work/$side/unit.o" "$work/$side-broken.o"
done
expect_status 1 "$klp_diff" compare "$work/before-broken.o" "$work/after-broken.o"
expect_output 'changed small '
expect_output 'not compared: types: '
expect_nothing_left
