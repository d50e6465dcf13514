#!/bin/bash
# The JSON report: schema klp-diff/1, for each outcome.
. "$(dirname "$0")/common.sh"

# check_json OUTCOME PYTHON: standard output is one JSON document of this outcome, and the statements hold for `r`.
check_json() {
  last="$last; then: $2"
  python3 - "$output.stdout" "$1" "$2" <<'PYTHON'
import json, sys
r = json.load(open(sys.argv[1]))
assert r["schema"] == "klp-diff/1", r["schema"]
assert r["version"], r
assert r["outcome"] == sys.argv[2], r["outcome"]
for key in ("command", "units", "findings", "timing_ms"):
    assert key in r, key
for f in r["findings"]:
    assert set(f) - {"place"} == {"severity", "code", "object", "unit", "symbol", "message", "hint"}, f
    assert f["severity"] in ("refusal", "warning", "note"), f
    assert f["code"] and f["message"], f
    assert f["severity"] != "refusal" or f["hint"], f
times = dict(r["timing_ms"])
total = times.pop("total")
assert total == sum(times.values()), r["timing_ms"]
for u in r["units"]:
    for key in ("unit", "object", "identity", "functions", "data", "klp_relocations", "special_entries", "deferred_entries"):
        assert key in u, (key, u)
    for key in ("matched", "different", "absent"):
        assert isinstance(u["identity"][key], int), u["identity"]
    for f in u["functions"]:
        assert set(f) >= {"name", "change", "patched", "sympos", "old_size", "new_size", "file", "line", "because"}, f
        assert f["change"] in ("changed", "new", "removed", "lifted", "bundled"), f
        assert f["because"], f
    for d in u["data"]:
        assert set(d) >= {"name", "change", "section", "size", "because"}, d
exec(sys.argv[3])
PYTHON
}

say "a module was made"
edit good fs/proc/meminfo.c 's/"MemTotal:       "/"MEMTOTAL:       "/'
start=$(date +%s%N)
expect_status 0 build --name klp_json --json - "$work/good.patch"
wall=$((($(date +%s%N) - start) / 1000000))
check_json ok '
import hashlib, os
assert r["command"] == "build"
assert r["kernel"]["arch"] == "x86_64" and r["kernel"]["release"] and len(r["kernel"]["build_id"]) == 40, r["kernel"]
m = r["module"]
data = open(m["file"], "rb").read()
assert m["name"] == "klp_json" and m["size"] == len(data) and m["sha256"] == hashlib.sha256(data).hexdigest(), m
[u] = r["units"]
assert (u["unit"], u["object"]) == ("fs/proc/meminfo.o", "vmlinux"), u
assert u["identity"]["different"] == 0 and u["identity"]["matched"] > 0, u["identity"]
[f] = [f for f in u["functions"] if f["patched"]]
assert f["name"] == "meminfo_proc_show" and f["change"] == "changed" and f["old_size"] > 0 and f["new_size"] > 0, f
assert f["file"] == "fs/proc/meminfo.c" and f["line"] > 1, f
assert u["klp_relocations"] > 0, u
assert set(r["timing_ms"]) >= {"kernel", "patch", "compile", "diff", "link", "verify", "total"}, r["timing_ms"]'
say "the phases add up to the time that it took"
python3 - "$output.stdout" "$wall" <<'PYTHON'
import json, sys
total, wall = json.load(open(sys.argv[1]))["timing_ms"]["total"], int(sys.argv[2])
assert 0 <= wall - total < max(300, wall / 4), (total, wall)
PYTHON
rm "$work/out/klp_json.ko"

say "refused"
edit refused fs/proc/meminfo.c 's/proc_create_single\("meminfo", 0,/proc_create_single("meminfo", 0400,/'
edit refused fs/proc/Makefile '1a# x'
expect_status 1 build --json - "$work/refused.patch"
check_json refused '
assert "module" not in r
assert sorted(f["code"] for f in r["findings"] if f["severity"] == "refusal") == ["build-rules", "init-code"], r["findings"]
[f] = [f for f in r["findings"] if f["code"] == "init-code"]
assert (f["symbol"], f["unit"], f["object"]) == ("proc_meminfo_init", "fs/proc/meminfo.o", "vmlinux"), f'

say "unchanged"
edit comment fs/proc/meminfo.c '1a /* nothing */'
expect_status 3 build --json - "$work/comment.patch"
check_json unchanged 'assert "module" not in r and [f["code"] for f in r["findings"]] == ["unchanged"], r["findings"]'

say "failed"
expect_status 4 build --json - "$output.stdout"
check_json failed 'assert "not a patch" in r["message"] and r["hint"], r'
expect_nothing_left

say "into a file: the text stays on standard output"
expect_status 3 build --json "$work/report.json" "$work/comment.patch"
expect_output "unchanged: "
cp "$work/report.json" "$output.stdout"
check_json unchanged 'assert r["command"] == "build"'
