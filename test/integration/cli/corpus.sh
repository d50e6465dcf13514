#!/bin/bash
# scripts/corpus: results of every kind, resuming, and what differs from the expectations; with a stand-in for klp-diff, which is tested elsewhere.
. "$(dirname "$0")/common.sh"

patches=$work/patches
out=$work/results
mkdir "$patches"

# patch ID FILE: the id is also what the stand-in goes by.
patch() { printf -- '--- a/%s\n+++ b/%s\n' "$2" "$2" >"$patches/$1-x.patch"; }
patch 001 fs/good.c
patch 002 fs/nothing.c
patch 003 fs/layout.c
patch 004 fs/malformed.c
patch 005 fs/crash.c
patch 006 drivers/late.c
patch 007 fs/bad-module.c

cat >"$work/stand-in" <<'SH'
#!/bin/bash
shift  # -q
if [ "$1" = boot ]; then
  echo boot >>"$CALLS"
  for word; do
    case $word in
      */001/*) printf '%s\tapplied\t\t\n' "$word" ;;
      */006/*) printf '%s\tlate\thv\thv: no such device\n' "$word" ;;
      */007/*) printf '%s\tfailed\t\tthe kernel <refuses> it\n' "$word" ;;
    esac
  done
  exit 1
fi
id=$(basename "$2" -x.patch)
echo "$id" >>"$CALLS"
while [ $# -gt 0 ]; do
  case $1 in -o) directory=$2 ;; --json) report=$2 ;; esac
  shift
done
entry() { printf '{"name": "%s", "change": "%s", "file": "", "line": 0, "because": ["text <differs>"]}' "$1" "$2"; }
finding() { printf '{"severity": "%s", "code": "%s", "object": "vmlinux", "unit": "", "symbol": "s", "message": "m <b>", "hint": ""}' "$1" "$2"; }
report() { echo "{\"units\": [{\"unit\": \"u\", \"object\": \"vmlinux\", \"functions\": [$1]}], \"findings\": [$2]}" >"$report"; }
case $id in
  001) report "$(entry f changed), $(entry f changed), $(entry g lifted), $(entry h new), $(entry k bundled)" ""; touch "$directory/m.ko" ;;
  002) report "" ""; exit 3 ;;
  003) report "" "$(finding warning inert), $(finding refusal changed-layout), $(finding refusal changed-data), $(finding refusal changed-layout)"; exit 1 ;;
  004) echo "klp-diff: it is malformed" >&2; exit 4 ;;
  005) echo "{ half" >"$report"; kill -SEGV $$ ;;
  *) report "$(entry f changed)" ""; touch "$directory/m.ko" ;;
esac
SH
chmod +x "$work/stand-in"
export CALLS=$work/calls KLP_DIFF=$work/stand-in
: >"$CALLS"
corpus() { "$root/scripts/corpus" -k debian:test -o "$out" "$@"; }

# expect_line ID REST: the line of results.tsv, seconds left out, '|' between the fields.
expect_line() {
  local line
  line=$(grep "^$1	" "$out/results.tsv" | cut -f 2-7,9- | tr '\t' '|')
  [ "$line" = "$2" ] || wrong "the line of $1 is $line"
}

say "every kind of result"
expect_status 1 corpus "$patches"
expect_output "crashed or not loaded: 005 007"
expect_line 001 'fs/good.c|ok||f|g|h|yes|'
expect_line 002 'fs/nothing.c|unchanged|||||-|'
expect_line 003 'fs/layout.c|refused|changed-layout changed-data||||-|'
expect_line 004 'fs/malformed.c|failed|||||-|klp-diff: it is malformed'
expect_line 005 'fs/crash.c|crashed|||||-|status -11'
expect_line 006 'drivers/late.c|ok||f|||late|hv: no such device'
expect_line 007 'fs/bad-module.c|ok||f|||no|the kernel <refuses> it'
[ "$(grep -c '<details' "$out/results.html")" = 7 ] || wrong "the page does not have a line for each"
grep -q 'm &lt;b&gt;' "$out/results.html" || wrong "the page lacks a finding"
! grep -q '<refuses>' "$out/results.html" || wrong "text is taken for HTML"
! grep -Eq 'https?:|src=|@import' "$out/results.html" || wrong "the page needs a network"

say "what is done is not done again"
: >"$CALLS"
expect_status 1 corpus "$patches"
[ ! -s "$CALLS" ] || wrong "was done again: $(cat "$CALLS")"
rm "$out/003/result.json"
expect_status 1 corpus "$patches"
[ "$(cat "$CALLS")" = 003 ] || wrong "not 003 alone: $(cat "$CALLS")"
: >"$CALLS"
expect_status 1 corpus "$patches" --again=002,007
[ "$(sort "$CALLS" | tr '\n' ' ')" = "002 007 boot " ] || wrong "not 002, 007: $(cat "$CALLS")"

say "a list instead of a directory; the crash is not in it"
printf '# some\npatches/001-x.patch\n\npatches/003-x.patch  # refused\n' >"$work/list"
expect_status 0 corpus "$work/list"
echo patches/missing.patch >>"$work/list"
expect_status 4 corpus "$work/list"
expect_output "missing.patch is missing"

# expected FILE=CHANGED=OUTCOME=OTHER...
expected() {
  printf 'file\tchanged_functions\texpected_outcome\tother_file_no_longer_compiles\n' >"$work/expected"
  for row; do echo "$row" | tr '=' '\t' >>"$work/expected"; done
  grep -oE '^[^	]*\.c' "$work/expected" | sed 's,.*/\(.*\)\.c,\1,' >"$work/files"
  : >"$work/list"
  for file in $(cat "$work/files"); do
    basename "$(grep -l "/$file.c" "$patches"/*)" | sed 's,^,patches/,' >>"$work/list"
  done
}
right() {
  expected "$@"
  expect_status 0 corpus "$work/list" --expected "$work/expected"
  expect_output "$# of $# as expected"
}
different() {
  expected "$2"
  expect_status 1 corpus "$work/list" --expected "$work/expected"
  expect_output "DIFFERENT .*$1"
  expect_output "0 of 1 as expected"
}

say "held against expectations"
right "fs/good.c=f=patch=" "fs/nothing.c==noop=" "fs/layout.c=f=refuse:layout=" "drivers/late.c=f=patch="
right "fs/good.c=f=refuse:untraceable="  # g was lifted
different "functions too many: f; missing: other" "fs/good.c=other=patch="
different "patch: unchanged" "fs/nothing.c=f=patch="
different "noop: ok" "fs/good.c==noop="
different "refuse:layout: ok" "fs/good.c=f=refuse:layout="
different "refuse:prototype: refused changed-layout" "fs/layout.c=f=refuse:prototype="
different "refuse:layout: failed" "fs/malformed.c==refuse:layout="
different "patch: ok, loaded no" "fs/bad-module.c=f=patch="
expected "fs/good.c=f=maybe="
expect_status 2 corpus "$work/list" --expected "$work/expected"
