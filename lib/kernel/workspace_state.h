// What the parts of the workspace share (workspace.cpp, compile.cpp). Not included elsewhere.
#pragma once

#include <set>
#include <shared_mutex>

#include "kernel/shadow_tree.h"
#include "kernel/workspace.h"

namespace klp::kernel {

struct Workspace::State {
  State(const Kernel& the_kernel, const KernelIndex& the_index, fs::path the_directory);

  const Kernel& kernel;
  const KernelIndex& index;
  fs::path source;  ///< kernel.source without symbolic links
  fs::path directory;
  ShadowTree patched;                   ///< with the patched files as they are
  ShadowTree marked;                    ///< with line marks in them
  std::set<std::string> touched_paths;  ///< all names, old and new, of the touched files
  std::shared_mutex trees;              ///< compilations share it; whoever changes a tree holds it alone
};

}  // namespace klp::kernel
