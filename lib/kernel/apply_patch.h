// Applying source patches to the shadow with GNU patch, and reading off what really changed.
#pragma once

#include <vector>

#include "kernel/patch_set.h"
#include "kernel/shadow_tree.h"

namespace klp::kernel {

/// Applies each patch in order to `tree`, a shadow of `source`. Files that are no kernel code (documentation) and those
/// that check_paths() refuses are left out. Notes `patch-fuzz` for hunks that moved or fitted only loosely; refusals
/// `patch-does-not-apply` with the rejected hunks. Errors: a file that is no patch, no `patch` or `diff` program.
/// Returns the files that differ from `source`, in the order of the patches, with hunks as they came to lie.
std::vector<TouchedFile> apply_patches(const std::vector<fs::path>& patches, const fs::path& source, ShadowTree& tree,
                                       Findings& findings);

}  // namespace klp::kernel
