#!/bin/bash
# run.sh PROGRAM [ARG...]: runs a test program on the ppc64le kernel of scripts/ppc64-kernel, with its directory as KLP_TEST_KERNEL. Skipped (77) when
# that is not in the cache; with KLP_TEST_ALL it is built.
set -eu
root=$(cd "$(dirname "$0")/../../.." && pwd)
if_there=--if-there
[ -z "${KLP_TEST_ALL:-}" ] || if_there=
# shellcheck disable=SC2086
directory=$("$root/scripts/ppc64-kernel" $if_there 2>&1) || {
  status=$?
  echo "$directory"
  exit $status
}
KLP_TEST_KERNEL=$directory exec "$@"
