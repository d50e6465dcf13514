#!/bin/bash
# Same input, same module bytes: from different directories, with and without the cached original, with one job and with several.
. "$(dirname "$0")/common.sh"

say "two builds of one patch are equal byte for byte"
edit patch fs/proc/meminfo.c 's/"MemTotal:       "/"MEMTOTAL:       "/'
mkdir -p "$work/a" "$work/deeper/b"
expect_status 0 "$klp_diff" build "$work/patch.patch" -k "$kernel" --name same -o "$work/a" --work-dir "$work/a" -j 1
expect_status 0 "$klp_diff" build "$work/patch.patch" -k "$kernel" --name same -o "$work/deeper/b" --work-dir "$work/deeper/b" --no-cache
last="cmp of the two modules"
cmp "$work/a/same.ko" "$work/deeper/b/same.ko"

say "and no path of this machine is in them"
last="grep in the module"
! grep -qaF "$work" "$work/a/same.ko"
