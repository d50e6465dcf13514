#!/bin/bash
# A kernel that is not fetched, and no network: what to do is said, and nothing half-fetched counts as a kernel.
. "$(dirname "$0")/common.sh"

edit good fs/proc/meminfo.c 's/"MemTotal:       "/"MEMTOTAL:       "/'
# Nobody listens on the discard port, and the lists are empty, as on a machine that never ran apt-get update.
mkdir -p "$work/apt/lists/partial"
printf 'Dir::State::lists "%s";\nAcquire::http::Proxy "http://127.0.0.1:9";\nAcquire::https::Proxy "http://127.0.0.1:9";\n' "$work/apt/lists" >"$work/apt.conf"
offline() {
  env KLP_DIFF_CACHE="$work/cache" APT_CONFIG="$work/apt.conf" http_proxy=http://127.0.0.1:9 https_proxy=http://127.0.0.1:9 "$klp_diff" "$@"
}

for command in "kernel fetch $kernel" "build -k $kernel -o $work/out $work/good.patch" "boot -k $kernel $work/good.ko"; do
  say "$command"
  printf 'int x;' | gcc -x c -c -o "$work/good.ko" -
  expect_status 4 offline $command
  expect_output "cannot fetch the package lists|cannot download"
  expect_output "127\\.0\\.0\\.1"
  expect_output "hint: check the network"
  expect_nothing_left
done

say "no kernel counts as fetched"
expect_status 0 offline kernel list
[ ! -s "$output.stdout" ] || wrong "a kernel is listed"

say "the lists are known, the download fails: the packages stay away, the next fetch goes on"
offline_download() {
  env KLP_DIFF_CACHE="$work/cache2" http_proxy=http://127.0.0.1:9 https_proxy=http://127.0.0.1:9 \
    APT_CONFIG="$work/proxy.conf" "$klp_diff" "$@"
}
printf 'Acquire::http::Proxy "http://127.0.0.1:9";\nAcquire::https::Proxy "http://127.0.0.1:9";\n' >"$work/proxy.conf"
expect_status 4 offline_download kernel fetch "$kernel"
expect_output "cannot (download linux-(headers|image)|fetch the package lists)"
expect_output "hint: check the network"
