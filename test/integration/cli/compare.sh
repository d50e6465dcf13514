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

say "modules of the kernel: one with itself but for its name, two that have little in common"
image=$("$klp_diff" kernel show "$kernel" | sed -n 's|^config *||p' | xargs dirname | xargs dirname)
loop=$(find "$image" -name 'loop.ko' | head -n 1)
null_blk=$(find "$image" -name 'null_blk.ko' | head -n 1)
cp "$loop" "$work/copy.ko"
printf '\0' >>"$work/copy.ko"  # other bytes: compared, not skipped
expect_status 0 "$klp_diff" compare "$loop" "$work/copy.ko"
expect_status 1 "$klp_diff" compare "$loop" "$null_blk" --stat
expect_output ' new, [0-9]+ removed'

say "wrong input"
: >"$work/empty.o"
mkdir "$work/nothing"
echo 'int f(void) { return 1; }' | powerpc64le-linux-gnu-gcc -x c -c -o "$work/ppc.o" -
expect_status 4 "$klp_diff" compare "$work/before/unit.o" "$work/no-such.o"
expect_output 'no-such\.o: no such file or directory'
expect_output 'hint: give two files, directories'
expect_status 4 "$klp_diff" compare "$work/before/unit.o" "$work/empty.o"
expect_output 'empty\.o'
expect_status 4 "$klp_diff" compare "$work/before" "$work/nothing"
expect_output 'holds no vmlinux, no module and no object'
expect_status 4 "$klp_diff" compare "$work/before/unit.o" "$work/ppc.o"
expect_output 'for different architectures'
expect_status 4 "$klp_diff" compare "$work/before/unit.o" "$work/after"
expect_output 'is one file, the other side is not'
expect_status 2 "$klp_diff" compare "$work/before/unit.o"
expect_nothing_left
