#!/usr/bin/env python3
"""Functions of the real kernel, edited, compiled with the kernel's recorded commands: what klp-diff says has changed must
be what another comparison says, one that shares nothing with klp-diff (objdump's text, normalised by objdump_compare.py).

With KLP_TEST_ALL, more units with edits at random places (KLP_TEST_SEED). Each pair is also given to property-tests, which
transforms it.

usage: edited_units.py KLP_DIFF PROPERTY_TESTS [KERNEL]; KLP_TEST_UNIT=fs/x.o for one unit. Exit status 1 on a difference."""
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import objdump_compare

# unit -> [(kind, file, text, replacement)]; the replacement keeps the number of lines, so that no __LINE__ moves.
EDITS = {
    "fs/proc/meminfo.o": [
        ("string", "fs/proc/meminfo.c", '"MemTotal:       "', '"MEMTOTAL:       "'),
    ],
    "fs/proc_namespace.o": [
        ("inlined callee", "fs/proc_namespace.c", r'seq_escape(m, s, " \t\n\\#");', r'seq_escape(m, s, " \t\n\\");'),
        ("constant", "fs/proc_namespace.c", "res |= EPOLLERR | EPOLLPRI;", "res |= EPOLLERR;"),
    ],
    "fs/d_path.o": [
        ("inline in a header of the same patch", "fs/mount.h", "return ns->seq == 0;", "return ns->seq <= 1;"),
        ("string", "fs/d_path.c", '"//deleted"', '"//removed"'),
    ],
    "fs/squashfs/dir.o": [
        ("macro in a header of the same patch", "fs/squashfs/squashfs.h", '"SQUASHFS error: "s', '"SQUASHFS ERROR: "s'),
        ("constant", "fs/squashfs/dir.c", "\treturn length + 3;", "\treturn length + 4;"),
    ],
    "kernel/kcmp.o": [
        ("switch", "kernel/kcmp.c", "case KCMP_FS:", "case KCMP_FS: case 77:"),
        ("static function inlined", "kernel/kcmp.c", "ret = -EBADF;", "ret = -EINVAL;"),
    ],
    "fs/fcntl.o": [
        ("switch", "fs/fcntl.c", "\tcase F_OWNER_PGRP:\n\t\ttype = PIDTYPE_PGID;", "\tcase 9:\n\t\ttype = PIDTYPE_PGID;"),
        ("branch", "fs/fcntl.c", "if (who == INT_MIN)", "if (who <= INT_MIN + 1)"),
        ("callee", "fs/fcntl.c", "pid = pid_vnr(filp->f_owner.pid);", "pid = pid_nr(filp->f_owner.pid);"),
        ("new function", "fs/fcntl.c", "void f_delown(struct file *filp)\n{",
         "static noinline void fresh(struct file *f) { f->f_pos = 0; } void f_delown(struct file *filp)\n{ fresh(filp);"),
    ],
    "lib/kobject.o": [
        ("cold path", "lib/kobject.c", '"kobject: (%p): attempted to be registered', '"kobject: (%p): tried to be registered'),
        ("cold path", "lib/kobject.c", "something is seriously wrong", "something is quite wrong"),
        ("added static", "lib/kobject.c", "\tint length = 1;\n", "\tint length = 1; static int calls; calls++; if (calls > 7) length++;\n"),
        ("lock", "lib/kobject.c", "\tlist_del_init(&kobj->entry);", "\tlist_del(&kobj->entry);"),
    ],
    "ipc/sem.o": [
        ("inlined switch", "ipc/sem.c", "\tcase IPC_OLD:\n\t    {", "\tcase IPC_OLD: case 5:\n\t    {"),
        ("condition", "ipc/sem.c", "if (params->u.nsems > sma->sem_nsems)", "if (params->u.nsems >= sma->sem_nsems)"),
        ("loop", "ipc/sem.c", "\tres = sma->sems[0].sem_otime;\n\tfor (i = 1;", "\tres = sma->sems[0].sem_otime;\n\tfor (i = 0;"),
        ("string", "ipc/sem.c", '"%10d %10d  %4o %10u', '"%10d %10d  %5o %10u'),
    ],
    "kernel/async.o": [
        ("macro", "kernel/async.c", "#define MAX_WORK\t\t32768", "#define MAX_WORK\t\t32760"),
        ("debug message", "kernel/async.c", '"initcall %lli_%pS returned after %lld usecs\\n"', '"initcall %lli_%pS took %lld usecs\\n"'),
    ],
    "drivers/base/bus.o": [
        ("initial value", "drivers/base/bus.c", "\t/* return -EIO for writing a bus attribute without store() */\n\tssize_t ret = -EIO;",
         "\t/* return -EIO for writing a bus attribute without store() */\n\tssize_t ret = -EPERM;"),
        ("pr_debug", "drivers/base/bus.c", "\"driver: '%s': %s\\n\"", "\"the driver: '%s': %s\\n\""),
    ],
}

# With KLP_TEST_ALL: one of the changes below at a place of chance in each of these.
MORE_UNITS = """kernel/workqueue.o kernel/time/timer.o kernel/printk/printk.o kernel/sched/fair.o kernel/signal.o kernel/fork.o
kernel/bpf/verifier.o mm/page_alloc.o mm/slub.o mm/memory.o fs/namei.o fs/splice.o fs/ext4/inode.o fs/nfs/dir.o fs/btrfs/backref.o
net/ipv4/tcp_input.o net/core/skbuff.o net/core/sock.o net/ipv6/route.o net/socket.o net/unix/af_unix.o net/netfilter/nf_tables_api.o
net/sched/sch_api.o drivers/block/loop.o drivers/net/virtio_net.o drivers/scsi/scsi_lib.o drivers/tty/tty_io.o drivers/pci/probe.o
drivers/md/dm.o crypto/algapi.o arch/x86/kernel/signal.o arch/x86/mm/fault.o lib/iov_iter.o block/blk-mq.o""".split()
CHANGES = [(r"return -EINVAL;", "return -ENOTTY;"), (r"return -ENOMEM;", "return -ENOSPC;"), (r"\t\treturn NULL;", '\t\t{ printk("klp"); return NULL; }'),
           (r"if \((\w+)\)\n\t\treturn", r"if (!\1)\n\t\treturn"), (r" == ", " != "), (r"\t\tgoto (\w+);", r"\t\t{ static int calls; calls++; goto \1; }")]


def random_edit(kernel, unit, chance):
    """An edit of one place; None when nothing fits."""
    file = unit[:-2] + ".c"
    text = open(f"{kernel.source}/{file}").read()
    for pattern, new in chance.sample(CHANGES, len(CHANGES)):
        if places := list(re.finditer(pattern, text)):
            place = chance.choice(places)
            line = text[:place.start()].count("\n") + 1
            # The text around it makes the place the only one.
            before, after = text[max(0, place.start() - 400):place.start()], text[place.end():place.end() + 400]
            return (f"line {line}: {place.group(0)!r}", file, before + place.group(0) + after, before + place.expand(new) + after)
    return None


class Kernel:
    def __init__(self, klp_diff, property_tests, name):
        self.klp_diff, self.property_tests, self.name = klp_diff, property_tests, name
        shown = subprocess.run([klp_diff, "kernel", "show", name], check=True, capture_output=True, text=True).stdout
        self.source = re.search(r"^source +(\S+)", shown, re.M).group(1)

    def command(self, unit):
        """The recorded shell command, and the object (vmlinux or a module) that the unit is part of."""
        text = subprocess.run([self.klp_diff, "kernel", "show", self.name, "--unit", unit],
                              check=True, capture_output=True, text=True).stdout
        command, owner = text.strip().rsplit("\n", 1)
        return command, re.search(r"part of (?:module )?([\w-]+)", owner).group(1)

    def compile(self, unit, source, include, output):
        command, _ = self.command(unit)
        os.makedirs(os.path.dirname(output), exist_ok=True)
        original = unit[:-2] + ".c"
        command = re.sub(r"-Wp,-MMD,\S+", "", command)
        command = re.sub(r"(\s)%s(?=[\s;)]|$)" % re.escape(original), r"\1%s %s" % (include, source), command)
        command = re.sub(r"(\s)%s(?=[\s;)]|$)" % re.escape(unit), r"\1" + output, command)
        run = subprocess.run(["sh", "-ec", command], cwd=self.source, capture_output=True, text=True)
        if run.returncode or not os.path.exists(output):
            sys.exit(f"{unit} does not compile:\n{run.stderr[:3000]}")


def patched_source(kernel, unit, work):
    """Writes the edited files into a directory of their own; the names in messages stay. Returns source and options."""
    texts = {unit[:-2] + ".c": None}
    for kind, file, old, new in EDITS[unit]:
        text = texts.get(file) or open(f"{kernel.source}/{file}").read()
        if old not in text:
            sys.exit(f"{file}: the edit '{kind}' finds nothing to replace: another kernel version?")
        assert old.count("\n") == new.count("\n"), (file, kind)
        texts[file] = text.replace(old, new, 1)
    for file, text in texts.items():
        path = f"{work}/src/{file}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as out:
            out.write(f'#line 1 "{file}"\n{text}')
    return f"{work}/src/{unit[:-2]}.c", "-iquote " + os.path.dirname(unit)


def klp_says(kernel, unit, a, b):
    _, owner = kernel.command(unit)
    run = subprocess.run([kernel.klp_diff, "extract", a, b, "-k", kernel.name, "--object", owner, "--json", "-"],
                         capture_output=True, text=True)
    report = json.loads(run.stdout)
    parent = lambda name: re.sub(r"\.cold(\.\d+)?$", "", name)
    changed = {parent(f["name"]) for u in report["units"] for f in u["functions"] if f["change"] == "changed"}
    new = {parent(f["name"]) for u in report["units"] for f in u["functions"] if f["change"] == "new"}
    # Refused because of what kind of function it is: it has changed all the same.
    refused = [f for f in report["findings"] if f["severity"] == "refusal"]
    kinds = ("not-traceable", "init-code", "exit-code")
    changed |= {f["symbol"] for f in refused if f["code"] in kinds and "changed" in f["message"]}
    return changed, new, [f"{f['code']} {f['symbol']}: {f['message']}" for f in refused if f["code"] not in kinds]


def check(kernel, unit, work):
    source, include = patched_source(kernel, unit, work)
    a, b = f"{work}/a/{unit}", f"{work}/b/{unit}"
    kernel.compile(unit, unit[:-2] + ".c", "", a)
    kernel.compile(unit, source, include, b)
    changed, new = objdump_compare.difference(a, b)
    klp_changed, klp_new, refused = klp_says(kernel, unit, a, b)
    transformed = subprocess.run([kernel.property_tests, "[given]"], capture_output=True, text=True,
                                 env=dict(os.environ, KLP_GIVEN_ORIGINAL=a, KLP_GIVEN_PATCHED=b))
    good = changed == klp_changed and new >= klp_new and (not refused or unit in MORE_UNITS) and transformed.returncode == 0
    lines = [f"{'ok  ' if good else 'BAD '} {unit}: {len(EDITS[unit])} edits, changed {' '.join(sorted(klp_changed))}"
             f"{', new ' + ' '.join(sorted(klp_new)) if klp_new else ''}"]
    if not good:
        lines += [f"  edits: {[e[0] for e in EDITS[unit]]}", *transformed.stdout.splitlines()[-40:]] if transformed.returncode else []
        lines += [f"  only klp-diff: {sorted((klp_changed | klp_new) - changed - new)}",
                  f"  only objdump: {sorted((changed | new) - klp_changed - klp_new)}"] + [f"  refused: {r}" for r in refused]
    return good, "\n".join(lines), len(changed | klp_changed)


def main():
    name = sys.argv[3] if len(sys.argv) > 3 else os.environ.get("KLP_TEST_KERNEL", "debian:6.1-cloud-amd64")
    kernel = Kernel(os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), name)
    if os.environ.get("KLP_TEST_ALL"):
        seed = int(os.environ.get("KLP_TEST_SEED", random.randrange(1 << 32)))
        print(f"KLP_TEST_SEED={seed}")
        for unit in MORE_UNITS:
            if edit := random_edit(kernel, unit, random.Random(f"{seed} {unit}")):
                EDITS[unit] = [edit]
    units = [u for u in EDITS if os.environ.get("KLP_TEST_UNIT", u) == u]
    with tempfile.TemporaryDirectory(prefix="klp-edited-") as work, ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda u: check(kernel, u, work), units))
    for _, text, _ in results:
        print(text)
    print(f"{sum(n for _, _, n in results)} functions changed by {sum(len(EDITS[u]) for u in units)} edits in {len(units)} units")
    sys.exit(0 if all(good for good, _, _ in results) else 1)


if __name__ == "__main__":
    main()
