#!/bin/bash
# A full disk: the message says so and what to do, and nothing half-written is left where the output goes, where the
# program works, and where it fetches.
. "$(dirname "$0")/common.sh"

if [ "$(id -u)" != 0 ]; then
  echo "not run: mounting a small file system needs root"
  exit 77
fi
disk=$work/disk
mkdir "$disk"

# small_disk SIZE: an empty file system at $disk.
small_disk() {
  if mountpoint -q "$disk"; then umount "$disk"; fi
  if ! mount -t tmpfs -o "size=$1" klp-cli "$disk"; then
    echo "not run: no tmpfs can be mounted here"
    exit 77
  fi
}
cleanups+=('! mountpoint -q "$disk" || umount "$disk"')

listing() { (cd "$disk" && find . | sort); }

# full COMMAND...: fails for want of space; $disk holds afterwards what it held before.
full() {
  local before after
  before=$(listing)
  expect_status 4 "$@"
  expect_output "No space left on device"
  expect_output "hint: free some space"
  after=$(listing)
  [ "$before" = "$after" ] || wrong "left on the disk: $(diff <(echo "$before") <(echo "$after"))"
  expect_nothing_left
}

edit good fs/proc/meminfo.c 's/"MemTotal:       "/"MEMTOTAL:       "/'

say "where the module goes"
small_disk 16k
full "$klp_diff" build -k "$kernel" -o "$disk/fix.ko" "$work/good.patch"

say "an older module there stays as it was"
echo old >"$disk/fix.ko"
full "$klp_diff" build -k "$kernel" -o "$disk/fix.ko" "$work/good.patch"
[ "$(cat "$disk/fix.ko")" = old ] || wrong "the old file was changed"

say "where the report goes"
edit comment fs/proc/meminfo.c '1a /* nothing */'
small_disk 4k
head -c 4096 /dev/zero >"$disk/fill"
full "$klp_diff" build -k "$kernel" -o "$work/out" --json "$disk/report.json" "$work/comment.patch"

say "where the program works: in each phase, with more and more room"
steps=0
for ((size = 16; size < 8000; size += size < 200 ? 92 : 150)); do
  small_disk ${size}k
  ! "$klp_diff" build -k "$kernel" -o "$work/out" --work-dir "$disk" "$work/good.patch" >/dev/null 2>&1 || break
  rm -f "$work"/out/*
  full "$klp_diff" build -k "$kernel" -o "$work/out" --work-dir "$disk" "$work/good.patch"
  head -n 1 "$output" >>"$work/places"
  steps=$((steps + 1))
done
rm -f "$work"/out/*
say "  $steps sizes were too small, at $(sed 's/ [^ ]*klp-diff\.[^ ]*//' "$work/places" | cut -c1-30 | sort -u | wc -l) places"
[ "$steps" -ge 4 ] || wrong "only $steps sizes were too small"
[ "$size" -lt 8000 ] || wrong "8 MB are too small for a small build"

say "TMPDIR"
small_disk 100k
full env TMPDIR="$disk" "$klp_diff" build -k "$kernel" -o "$work/out" "$work/good.patch"

say "the virtual machine's files"
expect_status 0 build --name klp_cli "$work/good.patch"
mv "$work/out/klp_cli.ko" "$work"
small_disk 100k
full env TMPDIR="$disk" "$klp_diff" boot -k "$kernel" "$work/klp_cli.ko"

say "the cache, while a kernel is fetched"
small_disk 50m
expect_status 4 env KLP_DIFF_CACHE="$disk/cache" "$klp_diff" kernel fetch "$kernel"
expect_output "No space left on device"
expect_output "hint: free some space.*KLP_DIFF_CACHE"
expect_status 0 env KLP_DIFF_CACHE="$disk/cache" "$klp_diff" kernel list
expect_no_output "complete$"
left=$(find "$disk/cache" -name '*.partial.*')
[ -z "$left" ] || wrong "left: $left"
