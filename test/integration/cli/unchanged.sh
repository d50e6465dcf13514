#!/bin/bash
# Patches that change no code: comments, and lines that move below a hunk, where WARN_ON() and __LINE__ would see the new number.
. "$(dirname "$0")/common.sh"

unchanged() {
  expect_status 3 build "$1"
  expect_output "unchanged: "
  expect_nothing_left
}

say "comments and white space only"
edit comments fs/proc/meminfo.c 's/^(static int meminfo_proc_show.*)$/\/* What \/proc\/meminfo shows. *\/\n\n\1/
  s/^(\tsi_meminfo.*)$/\1  \/* all of it *\//'
unchanged "$work/comments.patch"

say "lines shifted above WARN_ON()"
edit warn fs/namei.c '/^int vfs_permission|^static int generic_permission|^int generic_permission/i /* This comment\n * moves all lines\n * below. */'
grep -q 'WARN_ON' "${source:?}/fs/namei.c" || wrong "fs/namei.c has no WARN_ON: take another file"
unchanged "$work/warn.patch"

say "lines shifted above a user of __LINE__"
edit line fs/ext4/ialloc.c '/^void ext4_free_inode/i /* This comment\n * moves all lines\n * below. */'
sed -n '/^void ext4_free_inode/,/^}/p' "$source/fs/ext4/ialloc.c" | grep -q '__LINE__' || wrong "ext4_free_inode has no __LINE__"
unchanged "$work/line.patch"

say "lines shifted in the middle of the function that has __LINE__ below the hunk"
edit inside fs/ext4/ialloc.c '/^void ext4_free_inode/,/^}/s/^(\tstruct super_block \*sb = inode->i_sb;)$/\n\n\1/'
unchanged "$work/inside.patch"

say "documentation only"
edit documents MAINTAINERS '1i x'
unchanged "$work/documents.patch"

say "a real change below shifted lines is still found, and nothing but it"
edit real fs/ext4/ialloc.c '/^void ext4_free_inode/i /* This comment\n * moves all lines\n * below. */
  s/reserved or nonexistent inode/no such inode/'
expect_status 0 build --json "$work/report.json" "$work/real.patch"
python3 - "$work/report.json" <<'PYTHON'
import json, sys
report = json.load(open(sys.argv[1]))
changed = sorted(f["name"] for u in report["units"] for f in u["functions"] if f["change"] == "changed")
assert changed == ["ext4_free_inode"], changed
PYTHON
