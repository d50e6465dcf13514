#!/bin/bash
# klp-diff verify: what it says of a sound livepatch, of one that the kernel refuses, of a file that is none; and what
# inspect says of entries that would be read too early.
. "$(dirname "$0")/common.sh"

say "a livepatch that this kernel takes"
expect_status 0 "$klp_diff" build -q -k "$kernel" "$root/test/patches/meminfo-string.patch" -o "$work/out/good.ko"
expect_status 0 "$klp_diff" verify -k "$kernel" "$work/out/good.ko"
expect_output 'load +ok'
expect_output 'the kernel loads and applies it'

say "one whose version magic is another kernel's"
sed 's/SMP preempt mod_unload/SMP preempt mod_unXoad/' "$work/out/good.ko" >"$work/out/other.ko"
expect_status 1 "$klp_diff" verify -k "$kernel" "$work/out/other.ko"
expect_output 'refused: ENOEXEC \(\.modinfo and versions\)'
expect_output "the kernel says: livepatch_meminfo_string: version magic '.*' should be '.*'"
expect_status 1 "$klp_diff" verify -k "$kernel" --json - "$work/out/other.ko"
python3 - "$output.stdout" <<'PYTHON'
import json, sys
r = json.load(open(sys.argv[1]))
assert (r["schema"], r["command"], r["outcome"]) == ("klp-diff/1", "verify", "refused"), r
(event,) = r["events"]
assert (event["what"], event["outcome"], event["error"]) == ("load", "refused", "ENOEXEC"), event
assert len(event["messages"]) == 1, event
PYTHON

say "no module at all, and no file"
echo "no module" >"$work/out/text.ko"
expect_status 1 "$klp_diff" verify -k "$kernel" "$work/out/text.ko"
expect_output 'refused: ENOEXEC \(ELF checks\)'
expect_status 4 "$klp_diff" verify -k "$kernel" "$work/out/none.ko"
expect_output 'none.ko'
