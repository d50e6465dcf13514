// Preparing a clean kernel source tree: config, symbol versions, generated files, host tools.
#pragma once

#include <map>
#include <string>

#include "kernel/kernel.h"

namespace klp::kernel {

/// Throws Error naming the Debian packages when programs or headers that kbuild needs are missing.
void check_build_tools();

/// Prepares the clean tree kernel.source with kernel.config, kernel.symvers, kernel.release and kernel.compiler; writes
/// the stub kernel.pahole. Needs check_compiler() before. Errors: make's last lines; "config-mismatch: ..." when the
/// config that comes out differs from kernel.config outside probed symbols; the tree is of another version than the
/// release.
void prepare_tree(const Kernel& kernel);

/// A unit's command without the options that kbuild_command() adds for code of a module.
std::string command_as_shipped(const Kernel& kernel, const std::string& command);

/// Gives a tree that was prepared without it the package version that the shipped kernel's code prints.
void write_package_header(const Kernel& kernel);

/// SHA-256 of the files of a prepared tree that nobody may change afterwards, by relative path.
std::map<std::string, std::string> tree_fingerprints(const fs::path& source);

/// Throws Error when one of them is changed or gone; a changed .config is "config-mismatch: ...". `remedy` becomes the
/// hint.
void check_fingerprints(const fs::path& source, const std::map<std::string, std::string>& fingerprints,
                        const std::string& remedy);

}  // namespace klp::kernel
