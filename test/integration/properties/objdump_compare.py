#!/usr/bin/env python3
"""Which functions of two objects differ, from objdump's text alone: an opinion that owes nothing to klp-diff.

A function is its instructions without addresses, padding and the compiler's numbers: branches as the number of the
instruction that they lead to, relocations as symbol + offset, strings and constants by content.

usage: objdump_compare.py A.o B.o"""
import re
import subprocess
import sys


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Object:
    def __init__(self, path):
        self.path = path
        self.data = open(path, "rb").read()
        self.sections, self.symbols = {}, {}
        by_number = {}
        for line in output("readelf", "-SW", path).splitlines():
            m = re.match(r"\s*\[\s*(\d+)\] (\S+)\s+(\S+)\s+[0-9a-f]+ ([0-9a-f]+) ([0-9a-f]+) ([0-9a-f]+)\s+([A-Za-z]*)\s+\d+\s+\d+\s+\d+", line)
            if m:
                number, name, kind, offset, size, entry, flags = m.groups()
                section = dict(name=name, kind=kind, offset=int(offset, 16), size=int(size, 16), entry=int(entry, 16), flags=flags, symbols=[])
                by_number[number] = section
                self.sections.setdefault(name, section)
        for line in output("readelf", "-sW", path).splitlines():
            m = re.match(r"\s*\d+: ([0-9a-f]+)\s+(\w+) (\w+)\s+(\w+)\s+\w+\s+(\w+)(?: (\S+))?", line)
            if m and m.group(3) in ("FUNC", "OBJECT", "NOTYPE") and m.group(5) in by_number:
                value, size, kind, bind, number, name = m.groups()
                if kind == "NOTYPE" and not (name or "").startswith(".LC"):  # constants that kept their numbered label
                    continue
                by_number[number]["symbols"].append((int(value, 16), int(size, 0), name, kind))
                self.symbols[name] = (by_number[number], int(value, 16), kind)

    def content(self, section, start, size):
        if section["kind"] == "NOBITS":
            return bytes(size)
        return self.data[section["offset"] + start:section["offset"] + min(start + size, section["size"])]

    def place(self, section, offset):
        """What is meant by section + offset."""
        if "S" in section["flags"]:
            text = self.content(section, offset, section["size"] - offset)
            return repr(text.split(b"\0")[0])
        if "M" in section["flags"] and section["entry"]:
            start = offset - offset % section["entry"]
            return f"{self.content(section, start, section['entry']).hex()}+{offset - start}"
        for value, size, name, _ in section["symbols"]:
            if value <= offset < value + max(size, 1):
                return f"{plain(name)}+{offset - value:#x}"
        return f"{section['name']}+{offset:#x}"

    def target(self, text, bias):
        m = re.match(r"(.+?)(?:([+-])0x([0-9a-f]+))?$", text)
        name, addend = m.group(1), int((m.group(2) or "+") + (m.group(3) or "0"), 16) + bias
        if name in self.sections and name not in self.symbols:
            return self.place(self.sections[name], addend)
        if name in self.symbols and "M" in self.symbols[name][0]["flags"]:
            section, value, _ = self.symbols[name]
            return self.place(section, value + addend)
        return f"{plain(name)}+{addend:#x}"

    def functions(self):
        """name -> list of normalised instructions"""
        result, names = {}, {}
        for section in self.sections.values():
            for value, size, name, kind in section["symbols"]:
                if kind == "FUNC" and size:
                    names[section["name"], value] = (name, size)
        section, body = None, None
        for line in output("objdump", "-drw", "--no-show-raw-insn", self.path).splitlines():
            if m := re.match(r"Disassembly of section (\S+):", line):
                section, body = m.group(1), None
            elif m := re.match(r"([0-9a-f]+) <(.+)>:$", line):
                start = int(m.group(1), 16)
                if (section, start) in names:
                    body = result.setdefault(names[section, start][0], [])
                elif body and start >= body[0][0] + names_size(names, section, body[0][0]):
                    body = None
            elif body is not None and (m := re.match(r"\s*([0-9a-f]+):\t(.*)", line)):
                body.append((int(m.group(1), 16), m.group(2)))
        return {name: self.normal(name, body) for name, body in result.items() if body}

    def normal(self, name, body):
        start = body[0][0]
        kept = [(at, text) for at, text in body if not is_padding(text)]
        number = {}
        at_end = 0
        for i, (at, _) in enumerate(body):
            number[at] = sum(1 for a, t in kept if a < at) if is_padding(body[i][1]) else None
        for i, (at, _) in enumerate(kept):
            number[at] = i
        after = {at: body[i + 1][0] if i + 1 < len(body) else None for i, (at, _) in enumerate(body)}
        lines = []
        for at, text in kept:
            relocations = re.findall(r"\t([0-9a-f]+): (R_X86_64_\w+)\t(\S+)", text)
            code = re.sub(r"\s*(#|\t[0-9a-f]+: R_X86_64_).*", "", text).strip()
            if relocations:
                code = re.sub(r"(call|jmp|j\w+)(\s+)[0-9a-f]+ <[^>]*>", r"\1\2@", code)
                code += " " + ", ".join(self.relocation(r, after[at]) for r in relocations)
            elif m := re.match(r"(\S+(?: \S+)?)\s+([0-9a-f]+) <([^>+]*)(?:\+0x[0-9a-f]+)?>$", code):
                to = int(m.group(2), 16)
                code = f"{m.group(1)} -> {number[to] if to in number else plain(m.group(3)) + hex(to - start if m.group(3) == name else 0)}"
            lines.append(code)
        return lines

    def relocation(self, found, after):
        at, kind, target = found
        relative = kind in ("R_X86_64_PC32", "R_X86_64_PLT32")
        bias = (after - int(at, 16) if after else 4) if relative else 0
        return f"{kind} {self.target(target, bias)}"


def names_size(names, section, start):
    return names[section, start][1]


def plain(name):
    return re.sub(r"(__UNIQUE_ID_\w*?)\d+(\.\d+)?$", r"\1", re.sub(r"(\.\d+)+$", "", name))


def is_padding(text):
    return bool(re.match(r"(data16 |cs )*(nop|xchg\s+%ax,%ax)", text.strip()))


def difference(a, b):
    """(changed, new): names of functions, a part (.cold) under its parent's name."""
    left, right = Object(a).functions(), Object(b).functions()
    parent = lambda name: re.sub(r"\.cold(\.\d+)?$", "", name)
    changed = {parent(n) for n in right if n in left and left[n] != right[n]}
    changed |= {parent(n) for n in set(left) ^ set(right) if parent(n) != n and parent(n) in left and parent(n) in right}
    return changed, {n for n in right if n not in left and parent(n) == n}


if __name__ == "__main__":
    different, fresh = difference(*sys.argv[1:3])
    print("changed", *sorted(different))
    print("new", *sorted(fresh))
