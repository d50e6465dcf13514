#!/bin/bash
# Kernels that are not fetched: what they lack for livepatching is said before anything large is downloaded. Nothing is.
. "$(dirname "$0")/common.sh"

fresh() { env KLP_DIFF_CACHE="$work/cache" "$klp_diff" "$@"; }
flavour=cloud-amd64

say "what would be fetched, and the compiler"
expect_status 0 fresh kernel show "debian:6.1-$flavour"
expect_output 'fetched +no'
expect_output 'debug +linux-image-6\.1\.0-[0-9]+-cloud-amd64-dbg '
expect_output 'compiler +gcc-12 '
expect_output 'livepatch +yes'

say "another suite, whose compiler is not the host's"
expect_status 0 fresh kernel show "debian:5.10-$flavour"
expect_output 'toolchain +gcc-10 10\.'
expect_output 'toolchain +binutils-x86-64-linux-gnu 2\.35'

say "a release that has left the archive"
expect_status 4 fresh kernel show "debian:5.10.0-1-$flavour"
expect_output 'is not in the package sources \(any more\); there are:'
expect_output 'debian:5\.10\.0-[0-9]+-cloud-amd64'

say "a configuration without livepatches: nothing is downloaded for a build"
expect_status 4 fresh kernel show debian:6.1-powerpc64le
expect_output 'does not set CONFIG_LIVEPATCH'
expect_output 'it can be fetched for comparisons'
edit good fs/proc/meminfo.c 's/"MemTotal:       "/"MEMTOTAL:       "/'
expect_status 4 fresh build -k debian:6.1-powerpc64le -o "$work/out" "$work/good.patch"
expect_output 'cannot be fetched for livepatching:'
expect_output 'does not set CONFIG_LIVEPATCH'

say "a directory without the compiler"
mkdir "$work/empty"
expect_status 4 fresh kernel fetch --toolchain-root "$work/empty" "debian:6.1-$flavour"
expect_output 'compiler-mismatch: .*/empty has no usr/bin/gcc-12'
expect_status 4 "$klp_diff" build -k "$kernel" --toolchain-root "$work/empty" -o "$work/out" "$work/good.patch"
expect_output 'compiler-mismatch: .*/empty has no usr/bin/'
[ ! -d "$work/cache/kernels" ] || [ -z "$(find "$work/cache/kernels" -mindepth 1 -type d)" ] || wrong "something was fetched"
