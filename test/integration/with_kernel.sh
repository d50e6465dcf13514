#!/bin/sh
# with_kernel.sh KLP_DIFF KERNEL PROGRAM [ARG...]: runs a test program on the newest fetched kernel of a series, named as
# debian:5.10-cloud-amd64. Status 77 (skipped) when none is in the cache; with KLP_TEST_ALL it is fetched.
set -eu
klp_diff=$1 kernel=$2
shift 2
if [ -n "${KLP_TEST_ALL:-}" ]; then
  "$klp_diff" kernel fetch "$kernel"
elif ! "$klp_diff" kernel list | grep -q "^${kernel%%-*}[.].*-${kernel#*-} .*  complete\$"; then
  echo "not run: $kernel is not in the cache (scripts/test --all fetches it)"
  exit 77
fi
KLP_TEST_KERNEL=$kernel exec "$@"
