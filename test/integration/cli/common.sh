# What the tests of the command line share; sourced by each of them.
#
# A test runs the program and holds its exit status and what it printed against what a user must see. The first
# expectation that fails ends the test: the ERR trap prints the line, the last command and its whole output.
#   KLP_DIFF         the program; or the test's first argument
#   KLP_TEST_KERNEL  the kernel to build for, debian:6.1-cloud-amd64 when not set
#   KLP_TEST_SHOW    when set, each command and what it prints is shown
set -Eeuo pipefail

klp_diff=$(readlink -m "${1:-${KLP_DIFF:-build/klp-diff}}")
kernel=${KLP_TEST_KERNEL:-debian:6.1-cloud-amd64}
root=$(readlink -f "$(dirname "${BASH_SOURCE[0]}")/../../..")
[ -x "$klp_diff" ] || { echo "no program '$klp_diff': set KLP_DIFF"; exit 2; }

# Everything that a test or the program makes lies in here; TMPDIR is where the program puts its own directories.
work=$(mktemp -d "${TMPDIR:-/tmp}/klp-cli.XXXXXX")
export TMPDIR=$work/tmp
mkdir "$TMPDIR" "$work/out"
output=$work/output
last='(nothing was run)'
cleanups=()

clean_up() {
  local command
  for command in "${cleanups[@]}"; do eval "$command" || true; done
  rm -rf "$work"
}
trap clean_up EXIT

report_failure() {
  local frame=1  # the innermost one that is not a helper of this file
  while [[ ${BASH_SOURCE[frame]:-} == */common.sh ]]; do frame=$((frame + 1)); done
  echo "FAILED at ${BASH_SOURCE[frame]:-?}:${BASH_LINENO[frame - 1]}: $1"
  echo "the last command was: $last"
  [ ! -f "$output" ] || sed 's/^/  | /' "$output"
}
trap 'report_failure "$BASH_COMMAND"' ERR

say() { echo "- $*"; }

# Ends the test with a reason; the ERR trap adds place and output.
wrong() {
  echo "wrong: $*"
  return 1
}

# expect_status N COMMAND...: both streams go to $output, standard output alone to $output.stdout. A crash is never expected.
expect_status() {
  local wanted=$1 status=0
  shift
  last=$*
  "$@" >"$output.stdout" 2>"$output.stderr" </dev/null || status=$?
  cat "$output.stdout" "$output.stderr" >"$output"
  [ -z "${KLP_TEST_SHOW:-}" ] || { echo "\$ $last"; cat "$output"; }
  [ "$status" = "$wanted" ] || wrong "exit status $status, expected $wanted"
}

# expect_output REGEX: the last command printed a line like this. Long lines are wrapped in reports, so line breaks and runs of blanks
# count as one blank.
expect_output() {
  tr -s ' \n' '  ' <"$output" | grep -Eq -e "$1" || wrong "the output has nothing like: $1"
}

expect_no_output() {
  ! tr -s ' \n' '  ' <"$output" | grep -Eq -e "$1" || wrong "the output has: $1"
}

# expect_order FIRST SECOND: both are there, and the first comes before the second.
expect_order() {
  tr -s ' \n' '  ' <"$output" | grep -Eq -e "$1.*$2" || wrong "not '$1' before '$2'"
}

# No temporary directory of the program is left, and nothing was written where the module would go.
expect_nothing_left() {
  local left
  left=$(ls -A "$TMPDIR" "$work/out" | grep -v ':$' || true)
  [ -z "${left//[[:space:]]/}" ] || wrong "left behind: $left"
}

# Builds into $work/out.
build() { "$klp_diff" build -k "$kernel" -o "$work/out" "$@"; }

# refused CODE PATCH...: the build says no, with this code, and leaves nothing.
refused() {
  local code=$1
  shift
  expect_status 1 build "$@"
  expect_output "refused: "
  expect_output "[0-9]+\\. $code: "
  expect_output "what to do: "
  expect_nothing_left
}

source_of_kernel() { "$klp_diff" kernel show "$kernel" | sed -n 's/^source  *//p'; }

# edit NAME FILE SED-SCRIPT: adds the change of one file of the kernel to the patch $work/NAME.patch. A script that changes nothing
# (another kernel version) is a fault of the test.
edit() {
  local name=$1 file=$2 script=$3
  : "${source:=$(source_of_kernel)}"
  sed -E "$script" "$source/$file" >"$work/edited"
  if diff -u --label "a/$file" --label "b/$file" "$source/$file" "$work/edited" >>"$work/$name.patch"; then
    wrong "the sed script for $file changes nothing: $script"
  fi
}
