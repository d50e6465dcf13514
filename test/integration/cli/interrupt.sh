#!/bin/bash
# SIGINT at any moment: status 130, no output, no temporary directory, no process left.
#
# The moments come from delays spread over the length of an undisturbed run, so that each phase meets some; which phases were met is seen from
# the progress lines.
. "$(dirname "$0")/common.sh"

edit good fs/proc/meminfo.c 's/"MemTotal:       "/"MEMTOTAL:       "/'
edit good fs/proc/array.c 's/"State:\\t"/"STATE:\\t"/'

# What is left of the last command. Each runs in a session of its own, which all that it starts belong to; nothing else is looked at.
# A killed process takes a moment to vanish; one that only waits to be reaped by init is no process any more.
ours_left() {
  local tries
  for tries in 1 2 3 4 5 6 7 8 9 10; do
    pgrep -r R,S,D,T -s "$session" >/dev/null || return 0
    sleep 0.1
  done
  pgrep -l -r R,S,D,T -s "$session" || true
}

# The program has its handler: before that moment, SIGINT ends any process, and there is nothing to clean up.
catches_interrupts() {
  local mask
  mask=$(sed -n 's/^SigCgt:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null)
  [ -n "$mask" ] && [ $((0x$mask & 2)) != 0 ]
}

# interrupt_after SECONDS COMMAND...: starts it, sends SIGINT after the delay, and sets `status`.
interrupt_after() {
  local delay=$1 pid
  shift
  last="SIGINT after $delay s: $*"
  setsid "$@" >"$output" 2>&1 </dev/null &
  pid=$!
  session=$pid
  until catches_interrupts "$pid" || ! kill -0 "$pid" 2>/dev/null; do sleep 0.005; done
  sleep "$delay"
  kill -INT -- "-$pid" 2>/dev/null || true  # as the terminal does for Ctrl-C
  status=0
  wait "$pid" || status=$?
}

# After an interruption: nothing is left. A command that was done before the signal came is told by its status 0.
interruptions=0
expect_interrupted() {
  local left
  [ "$status" != 0 ] || return 0
  [ "$status" = 130 ] || wrong "exit status $status, expected 130"
  expect_output "klp-diff: interrupted"
  interruptions=$((interruptions + 1))
  expect_nothing_left
  left=$(ours_left)
  [ -z "$left" ] || wrong "processes left: $left"
}

# sweep STEPS COMMAND...: one undisturbed run for its length, then one interrupted run for each step of it.
sweep() {
  local steps=$1 start length step delay
  shift
  start=$(date +%s%N)
  expect_status 0 "$@"
  rm -f "$work"/out/*
  length=$((($(date +%s%N) - start) / 1000000))
  interruptions=0
  for ((step = 0; step < steps; ++step)); do
    delay=$((step * length / steps))
    interrupt_after "$(printf '%d.%03d' $((delay / 1000)) $((delay % 1000)))" "$@"
    expect_interrupted
    [ "$status" != 0 ] || rm -f "$work"/out/*
    cat "$output" >>"$work/all_output"
  done
  say "  $interruptions of $steps interrupted, over $length ms"
  [ "$interruptions" -ge $((steps / 2)) ] || wrong "only $interruptions of $steps runs were interrupted"
}

say "build"
sweep 10 "$klp_diff" build -k "$kernel" --name klp_cli -o "$work/out" "$work/good.patch"
for phase in compiling linking; do
  grep -q "^$phase" "$work/all_output" || wrong "no run was interrupted in or after the phase: $phase"
done

say "build, originals compiled too"
sweep 4 "$klp_diff" build -k "$kernel" --no-cache --name klp_cli -o "$work/out" "$work/good.patch"

say "a build after all that works as before"
expect_status 0 "$klp_diff" build -k "$kernel" --name klp_cli -o "$work/out" "$work/good.patch"
mv "$work/out/klp_cli.ko" "$work"

say "boot"
sweep 4 "$klp_diff" boot -k "$kernel" "$work/klp_cli.ko"

say "fetch: the download is interrupted early"
cache=$work/cache
for delay in 0.1 0.5 1.5; do
  interrupt_after $delay env KLP_DIFF_CACHE="$cache" "$klp_diff" kernel fetch "$kernel"
  [ "$status" != 0 ] || wrong "a kernel was fetched in $delay s"
  expect_interrupted
  left=$(find "$cache" -name '*.partial.*' 2>/dev/null || true)
  [ -z "$left" ] || wrong "left: $left"
done
expect_status 0 env KLP_DIFF_CACHE="$cache" "$klp_diff" kernel list
expect_no_output " complete$"

