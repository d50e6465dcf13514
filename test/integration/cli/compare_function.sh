#!/bin/bash
# compare --function: one function of two builds side by side, with its source.
. "$(dirname "$0")/common.sh"

unit() { # NAME SED-SCRIPT: $work/NAME/unit.o, compiled from $work/NAME/tree/unit.c
  mkdir -p "$work/$1/tree"
  sed -E "$2" >"$work/$1/tree/unit.c" <<'C'
extern int printk(const char *text, ...);
extern int limit;
static inline int scaled(int x)
{
	return x * 3;
}
int small(int x) { return x + 1; }
int large(int x)
{
	while (x < limit)
		x = scaled(x) + printk("large %d", x);
	return x;
}
static __attribute__((noinline)) int hidden(int x) { return printk("hidden %d", x) ^ x; }
int user(int x) { return hidden(x) + hidden(x + 2); }
C
  (cd "$work/$1/tree" && gcc -c -O2 ${3:--g} -fno-pic -mcmodel=kernel -ffunction-sections -o ../unit.o unit.c)
}

unit before ''
unit after 's/x \* 3/x * 5/; s/large %d/large: %d/; s/hidden %d/hidden: %d/; 1s/^/\n/'
unit plain 's/x \+ 1/x + 2/' -g0
a=$work/before/unit.o b=$work/after/unit.o

say "equal, but for its lines"
expect_status 0 "$klp_diff" compare "$a" "$b" --function small
expect_output '^same: no instruction differs'
expect_output 'unit\.o: small, [0-9]+ -> [0-9]+ bytes \.\.\. [0-9]+ equal instructions'
expect_status 0 "$klp_diff" compare "$a" "$b" --function small --all
expect_output 'unit\.c:7 unit\.c:8'
expect_output '\+0x[0-9a-f]+ retq \+0x[0-9a-f]+ retq'

say "changed: marked, with source lines, in two columns"
expect_status 1 env COLUMNS=140 "$klp_diff" compare "$a" "$b" --function large \
  --source-a "$work/before/tree" --source-b "$work/after/tree"
expect_output '^different: [0-9]+ instruction'
page=$work/out/page.html
"$klp_diff" compare "$a" "$b" --html "$page" --source-a "$work/before/tree" --source-b "$work/after/tree" >/dev/null || [ $? = 1 ]
python3 - "$page" <<'PYTHON'
import base64, re, sys, zlib
packed = re.search(r'id="code-0">([^<]*)<', open(sys.argv[1]).read()).group(1)
code = zlib.decompress(base64.b64decode(packed)).decode()
assert "\tunit.c:6  return x * 5;\n" in code and "\tunit.c:5  return x * 3;\t" in code, code
PYTHON
rm "$page"
expect_status 2 "$klp_diff" compare "$a" "$b" --source-a "$work/before/tree"
expect_output 'need --function or --html'
expect_status 1 env COLUMNS=140 "$klp_diff" compare "$a" "$b" --function large \
  --source-a "$work/before/tree" --source-b "$work/after/tree"
expect_output '# "large %d" \| \+0x[0-9a-f]+ movq \$0, %rdi # "large: %d"'
expect_output 'unit\.c:5 return x \* 3; unit\.c:6 return x \* 5;'
expect_output 'from unit\.c:'
# The function, and what is inlined in it, with the lines' numbers in their files.
expect_output '--- a/unit\.c \+\+\+ b/unit\.c'
expect_output '@@ -3,4 \+4,4 @@'
expect_output '-[[:space:]]+return x \* 3; \+[[:space:]]+return x \* 5;'
expect_output 'while \(x < limit\) -[[:space:]]+x = scaled\(x\) \+ printk\("large %d", x\);'
[ "$(awk '{ if (length($0) > n) n = length($0) } END { print n }' "$output.stdout")" -le 140 ] || wrong "lines longer than COLUMNS"

say "in colour, and without when it is not asked for"
expect_status 1 "$klp_diff" --color=always compare "$a" "$b" --function large
grep -q $'\033\[1;32m' "$output.stdout" || wrong "no colour"
expect_status 1 "$klp_diff" compare "$a" "$b" --function large
if grep -q $'\033' "$output.stdout"; then wrong "colour in a file"; fi

say "JSON"
expect_status 1 "$klp_diff" compare "$a" "$b" --function large --json -
python3 - "$output.stdout" <<'PYTHON'
import json, sys
report = json.load(open(sys.argv[1]))
assert report["outcome"] == "different", report
(unit,) = report["units"]
(function,) = unit["functions"]
kinds = [row["kind"] for row in function["code"]]
assert function["name"] == "large" and function["change"] == "changed" and "changed" in kinds, function
assert function["differing"] == sum(kind not in ("equal", "noise", "skipped") for kind in kinds)
assert unit["why"]["after"][0]["file"].endswith("unit.c"), unit["why"]
PYTHON

say "--why: the lines that changes come from"
expect_status 1 "$klp_diff" compare "$a" "$b" --why --json "$work/out/why.json"
expect_output 'changed large .* from unit\.c:6,12'
expect_output 'changed hidden .* from unit\.c:15'
python3 - "$work/out/why.json" <<'PYTHON'
import json, sys
(unit,) = json.load(open(sys.argv[1]))["units"]
why = {f["name"]: f["why"]["after"] for f in unit["functions"]}
assert why["large"] == [{"file": "unit.c", "lines": [[6, 6], [12, 12]], "instructions": 2}], why
PYTHON
rm "$work/out/why.json"

say "directories: a static function; no debug information on one side"
expect_status 1 "$klp_diff" compare "$work/before" "$work/after" --function unit.o:hidden
expect_output 'hidden \(unit\.c\), '
expect_status 1 "$klp_diff" compare "$a" "$work/plain/unit.o" --function small
expect_output 'note: the second build has no debug information that can be read'
expect_status 1 "$klp_diff" compare "$a" "$work/plain/unit.o" --why
expect_output 'source lines are not known: a build has no debug information'

say "damaged debug information does not end the comparison of code"
for section in .debug_line .debug_info .debug_abbrev; do
  objcopy --dump-section "$section=$work/section" "$b" "$work/whole.o"
  python3 -c 'import random, sys; sys.stdout.buffer.write(random.Random(7).randbytes(len(sys.stdin.buffer.read())))' \
    <"$work/section" >"$work/noise"
  objcopy --update-section "$section=$work/noise" "$b" "$work/damaged.o" 2>"$output"
  expect_status 1 "$klp_diff" compare "$a" "$work/damaged.o" --function large
  expect_output '# "large %d" \| '
done

say "names that are unknown, or that several binaries have"
expect_status 4 "$klp_diff" compare "$a" "$b" --function largo
expect_output 'neither build has a function largo'
expect_output 'hint: did you mean large'
expect_status 4 "$klp_diff" compare "$work/before" "$work/after" --function nothing.o:large
expect_output 'there is no nothing\.o in both builds'
cp "$a" "$work/before/more.o"
cp "$b" "$work/after/more.o"
expect_status 4 "$klp_diff" compare "$work/before" "$work/after" --function large
expect_output '2 binaries have a function large'
expect_output 'hint: say which: --function more\.o:large, or unit\.o:large'

say "two of the kernel's modules"
image=$("$klp_diff" kernel show "$kernel" | sed -n 's|^module files *||p')
loop=$(find "$image" -name 'loop.ko' | head -n 1)
expect_status 0 "$klp_diff" compare "$loop" "$loop" --function lo_ioctl --all
expect_output 'loop\.c:[0-9]+ loop\.c:[0-9]+'
expect_nothing_left
