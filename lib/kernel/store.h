// Where fetched kernels lie in the cache, which steps of a fetch are done, and the description of a finished one.
//
//   CACHE/kernels/debian-RELEASE/        one kernel; CACHE/kernels/debian-RELEASE.lock beside it
//     packages.json                      the package versions that this fetch settled on
//     steps/NAME                         written when a step is complete
//     image/ debug/ headers/ common/     unpacked packages
//     source/  pahole                    the prepared tree, and the stub that every make is given
//     cache/                             index, compiled originals
//     kernel.json                        the description, written last: its presence means complete
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "kernel/apt.h"
#include "kernel/kernel.h"

namespace klp::kernel {

/// The directory of a kernel by its name, existing or not. Throws Error for names that are no single path component,
/// and for a cache root that make cannot work in (white space, ':').
fs::path kernel_directory(const std::string& name);
fs::path kernels_root();

/// "debian-6.1.0-56-cloud-amd64" -> "debian:6.1.0-56-cloud-amd64".
std::string name_of_directory(const std::string& directory);

/// The lock that fetching, indexing and removing hold.
fs::path lock_file(const fs::path& directory);

bool step_done(const fs::path& directory, const std::string& step);
void mark_step(const fs::path& directory, const std::string& step, const std::string& note);

struct Description {
  Kernel kernel;
  /// Files of the prepared tree (relative) with their SHA-256 right after preparation.
  std::map<std::string, std::string> fingerprints;
};

void save_description(const fs::path& directory, const Description& description);
/// None when the kernel is not complete. Errors: the description is damaged.
std::optional<Description> load_description(const fs::path& directory);

void save_packages(const fs::path& directory, const std::map<std::string, PackageVersion>& packages);
/// By role; empty when none were saved or the file is damaged.
std::map<std::string, PackageVersion> load_packages(const fs::path& directory);

/// Bytes on disk of everything below `directory`, hard links counted once a name.
uint64_t disk_usage(const fs::path& directory);

/// Makes the directory and its parents. Errors name it.
void make_directories(const fs::path& directory);

/// Removes what is there. Errors name it.
void remove_tree(const fs::path& path);

}  // namespace klp::kernel
