#!/bin/bash
# The cases of the VM suite that depend on the processor, on the one that $KLP_TEST_CPU and $KLP_TEST_APPEND describe (scripts/test --all).
#   KLP_MACHINE_KERNEL  the kernel; default: the newest 6.12 of the cloud
set -eu
skip() {
  echo "not run: $*"
  exit 77
}
[ -n "${KLP_TEST_ALL:-}" ] || skip "livepatches on other processors; scripts/test --all runs them"
KLP_TEST_KERNEL=${KLP_MACHINE_KERNEL:-debian:6.12-cloud-amd64}
export KLP_TEST_KERNEL
exec "$1" "[machine]"
