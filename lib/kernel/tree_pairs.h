// Two build trees of the user, one compiled before and one after a change: which of their objects are units of the
// kernel to be patched, and which of those differ.
//
// A tree is where kbuild put the objects: the source tree itself, or the directory given with O=. Which unit belongs to
// vmlinux or to which modules is taken from the kernel's index alone, as the kernel that runs decides where the new
// code goes. What the trees say (the commands that kbuild saved beside each object, .config, kernel.release) is held
// against it where it is there.
#pragma once

#include <string>
#include <vector>

#include "kernel/index.h"
#include "kernel/kernel.h"
#include "support/files.h"
#include "support/finding.h"

namespace klp::kernel {

struct BuildTrees {
  fs::path original, patched;  ///< roots: the directories that hold kernel/, fs/, ...
};

/// Holds the trees against each other and against the kernel. Findings: `config-mismatch` when release (note) or
/// configuration (warning) are not the kernel's, `compiler-mismatch` (warning) when the compiler is not. Errors: no
/// directory, the same tree twice, no build tree (no compiled kernel object), "config-mismatch: ..." when the trees are
/// of different configurations, releases or compilers. A tree without .config or kernel.release is not held against
/// anything.
void check_trees(const BuildTrees& trees, const Kernel& kernel, Findings& findings);

/// What a file NAME.o below a tree's root is.
enum class TreeObject {
  unit,           ///< compiled from C, part of vmlinux or of a module of the kernel
  assembly,       ///< the same from assembler
  special_image,  ///< part of an image of its own: vdso, realmode, purgatory
  boot_image,     ///< the same of code that has run: boot, EFI stub
  stranger,       ///< compiled, but no unit of this kernel
  other           ///< not compiled from kernel source, or made from what is compared itself, or new in each build
};

/// `object`: relative path. `saved_command`: what kbuild saved about it, empty when nothing is there.
TreeObject kind_of_object(const KernelIndex& index, const std::string& object, const std::string& saved_command);

/// A unit whose objects are not equal.
struct TreePair {
  const Unit* unit = nullptr;
  fs::path original, patched;
};

struct TreeComparison {
  std::vector<TreePair> differing;  ///< by the unit's name; to be judged by the engine
  size_t units = 0;                 ///< that both trees have
};

/// Pairs the objects and drops those that are equal, or equal but for debug information. Findings (refusals):
/// `asm-source` and `special-image` for changed objects that cannot be patched, `not-built` for objects that one tree
/// has and the other has not, and for changed ones that the kernel does not have; `config-mismatch` for one that is
/// built in in the tree and a module in the kernel, or the other way round. Boot code whose own source is not known
/// to differ is a note: its build puts sizes and dates into it. Errors: an object that cannot be read;
/// check_unit_object() of both objects of a differing unit.
TreeComparison pair_trees(const BuildTrees& trees, const KernelIndex& index, Findings& findings);

/// Throws Error for an object that cannot be compared: LLVM bitcode or GCC's LTO streams, no -ffunction-sections or
/// -fdata-sections.
void check_unit_object(const fs::path& object);

/// The command that kbuild saved beside `object` in DIR/.NAME.o.cmd, and the source that it names, as it is written
/// there. Empty when there is none.
struct SavedCommand {
  std::string command, source;
};
SavedCommand saved_command(const fs::path& root, const std::string& object);

}  // namespace klp::kernel
