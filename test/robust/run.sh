#!/bin/sh
# Runs a test program of the sanitized build: run.sh build-sanitize/robust-tests. Skipped when it was not built; scripts/test builds it.
[ -x "$1" ] || { echo "not run: $1 is not built (scripts/test builds it)"; exit 77; }
exec "$@"
