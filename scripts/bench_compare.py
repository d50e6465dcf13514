"""Measures klp-diff compare beside the tools that people use for it: on one module in full, and on two whole kernels.

$KLP_BENCH_BEFORE, $KLP_BENCH_AFTER: two fetched kernels. A tool that takes more than $KLP_BENCH_LIMIT seconds (600) is stopped, and the table says so; one
that is not installed (abidiff: abigail-tools, diffoscope: diffoscope-minimal) is left out.
"""
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

BEFORE = os.environ.get("KLP_BENCH_BEFORE", "debian:6.1.0-54-cloud-amd64")
AFTER = os.environ.get("KLP_BENCH_AFTER", "debian:6.1.0-56-cloud-amd64")
LIMIT = float(os.environ.get("KLP_BENCH_LIMIT", "600"))
MODULE = "kernel/fs/xfs/xfs.ko"


def pieces(program, kernel):
    lines = subprocess.run([program, "kernel", "show", kernel], check=True, capture_output=True, text=True).stdout.splitlines()
    return {line[:13].strip(): line[13:].strip() for line in lines}


def measured(command):
    """Wall and processor seconds (its children included), peak memory in MiB, lines of output; None for the first when it was stopped."""
    with tempfile.TemporaryFile() as out:
        start = time.monotonic()
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL, start_new_session=True)
        usage = None
        while usage is None and time.monotonic() - start < LIMIT:
            pid, status, told = os.wait4(child.pid, os.WNOHANG)
            if pid != 0:
                usage = told
            else:
                time.sleep(0.01)
        elapsed = time.monotonic() - start
        stopped = usage is None
        if stopped:
            os.killpg(child.pid, signal.SIGKILL)
            _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        lines = sum(block.count(b"\n") for block in iter(lambda: out.read(1 << 20), b""))
    return None if stopped else elapsed, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, lines, child.returncode


def table(title, tools):
    print(f"{title}\n\n| tool | time | processor time | peak memory | lines of output |\n|---|---|---|---|---|")
    for name, command in tools:
        if shutil.which(command[0]) is None:
            print(f"| {name} | not installed |  |  |  |")
            continue
        wall, processor, memory, lines, status = measured(command)
        took = f"stopped after {LIMIT:.0f} s" if wall is None else f"{wall:.2f} s"
        # diff's way: 1 is a difference; abidiff's bits 1 and 2 are errors.
        failed = wall is not None and (status not in (0, 1) if name != "abidiff" else status & 3)
        print(f"| {name} | {took}{', failed' if failed else ''} | {processor:.1f} s | {memory:.0f} MiB | {lines:,} |")
    print()


def disassembled(before, after, directory):
    return ["sh", "-c", 'objdump -d --no-show-raw-insn "$1" >"$3/a"; objdump -d --no-show-raw-insn "$2" >"$3/b"; diff "$3/a" "$3/b"', "sh", before, after, directory]


def bench_compare(program):
    print(f"{BEFORE} against {AFTER}\n")
    old, new = pieces(program, BEFORE), pieces(program, AFTER)
    bloat = str(pathlib.Path(old["source"]) / "scripts/bloat-o-meter")
    with tempfile.TemporaryDirectory() as directory:
        module = [str(pathlib.Path(side["module files"]) / MODULE) for side in (old, new)]
        table(f"One module with debug information, {pathlib.Path(MODULE).name}", [
            ("klp-diff compare", [program, "compare", *module]),
            ("bloat-o-meter", ["python3", bloat, *module]),
            ("objdump -d and diff", disassembled(*module, directory)),
            ("abidiff", ["abidiff", *module]),
            ("diffoscope", ["diffoscope", *module])])
        image = [side["vmlinux"] for side in (old, new)]
        table("The kernels: klp-diff takes vmlinux and all modules, the others vmlinux alone", [
            ("klp-diff compare", [program, "compare", BEFORE, AFTER]),
            ("bloat-o-meter", ["python3", bloat, *image]),
            ("objdump -d and diff", disassembled(*image, directory)),
            ("abidiff", ["abidiff", *image]),
            ("diffoscope", ["diffoscope", *image])])
