#!/bin/bash
# Real stable fixes as livepatches (scripts/test --all): 120 changed files of one Debian point release, each held against test/corpus/expected.tsv, and, where
# ../shared/corpus is there, its 40 patches against their own table. Every module that is built is loaded in a VM. A run that was interrupted goes on where it
# stopped when KLP_CORPUS_DIR names a directory that stays.
#   KLP_CORPUS_KERNEL, KLP_CORPUS_NEW, KLP_CORPUS_TABLE  the pair and its table; test/corpus/expected.tsv is for debian:6.1.0-54-cloud-amd64 and
#   linux-source-6.1=6.1.192-1, expected-6.12.tsv for debian:6.12.115+deb12-cloud-amd64 and linux-source-6.12=6.12.117-1~deb12u1
set -eu
cd "$(dirname "$0")/../.."
: "${KLP_DIFF:=build/klp-diff}"
KLP_DIFF=$(readlink -f "$KLP_DIFF")
export KLP_DIFF
kernel=${KLP_CORPUS_KERNEL:-debian:6.1.0-54-cloud-amd64}
new=${KLP_CORPUS_NEW:-linux-source-6.1=6.1.192-1}
table=test/corpus/${KLP_CORPUS_TABLE:-expected.tsv}

skip() {
  echo "not run: $*"
  exit 77
}
[ -n "${KLP_TEST_ALL:-}" ] || skip "the corpus of real fixes; scripts/test --all runs it"

directory=${KLP_CORPUS_DIR:-}
if [ -z "$directory" ]; then
  directory=$(mktemp -d)
  trap 'rm -rf "$directory"' EXIT
fi
mkdir -p "$directory/packages"
log=$directory/log
"$KLP_DIFF" -q kernel fetch "$kernel" >"$log" 2>&1 || skip "$kernel cannot be fetched: $(tail -n 1 "$log")"
scripts/corpus-sample "$new" "$directory/further-patches" -k "$kernel" --only "$table" --cache "$directory/packages" >"$log" 2>&1 ||
  skip "$new is not to be had: $(tail -n 1 "$log")"

status=0
scripts/corpus "$directory/further-patches" -k "$kernel" -o "$directory/further" --expected "$table" || status=1
shared=../shared/corpus
if [ -z "${KLP_CORPUS_TABLE:-}" ] && [ -x "$shared/derive" ]; then
  # Its versions are those of the tables; an old side that has left the index is only missed here.
  if CACHE=$directory/packages "$shared/derive" linux-source-6.1=6.1.190-1 "$new" "$shared/open.list" "$directory/open-patches" >"$log" 2>&1; then
    scripts/corpus "$directory/open-patches" -k "$kernel" -o "$directory/open" --expected "$shared/open-expected.tsv" || status=1
  else
    echo "the 40 patches of $shared were not run: $(tail -n 1 "$log")"
  fi
fi
exit $status
