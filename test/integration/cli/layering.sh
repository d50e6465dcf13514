#!/bin/bash
# scripts/check-layering holds for this tree, and notices each kind of breach in a copy of it.
. "$(dirname "$0")/common.sh"

check() { "$root/scripts/check-layering" "$@"; }

say "this tree"
expect_status 0 check
expect_output "all rules hold"

tree=$work/tree
mkdir "$tree"
cp -r "$root/lib" "$root/tools" "$tree"
expect_status 0 check "$tree"

# breach FILE LINE RULE: with this line in the file the check fails and prints rule and place.
breach() {
  local file=$1 line=$2 rule=$3
  say "$file: $line"
  cp "$tree/$file" "$work/kept"
  echo "$line" >>"$tree/$file"
  expect_status 1 check "$tree"
  expect_output "$rule"
  expect_output "$(basename "$file")"
  expect_no_output "all rules hold"
  cp "$work/kept" "$tree/$file"
}

breach lib/diff/engine.cpp '#include "kernel/kernel.h"' "lib/diff may include only: support elf arch diff"
breach lib/kernel/kernel.cpp '#include "diff/engine.h"' "lib/kernel may include only: support elf arch kernel"
breach lib/support/files.cpp '#include "elf/elf_object.h"' "lib/support may include only: support"
breach lib/elf/symvers.cpp '#include "tools/klp-diff/options.h"' "lib/elf may include only: support elf"
breach lib/diff/plan.cpp 'int x = R_X86_64_PC32;' "lib/diff names no relocation type"
breach lib/diff/plan.cpp '#include "arch/x86_64/x86_64.h"' "lib/diff includes only arch/arch.h"
breach lib/diff/engine.cpp '#include <boost/graph/graph_traits.hpp>' "Boost only in lib/diff/reference_graph.cpp"
breach lib/kernel/kernel.cpp '#include <gelf.h>' "libelf and libdw only in lib/elf"
breach lib/kernel/kernel.h '#include <nlohmann/json.hpp>' "public headers include no"
breach lib/elf/klp_abi.cpp '#include <llvm/Object/ELF.h>' "LLVM only in"
breach lib/diff/closure.cpp '#include "diff/emit.h"' "no analysis file includes emit"

say "a file over 500 lines"
seq 500 | sed 's,^,// ,' >>"$tree/lib/elf/symvers.cpp"
expect_status 1 check "$tree"
expect_output "no file over 500 lines"
