// A model of what the kernel does with a livepatch module, from its file to the patched function: kernel/module/main.c
// (load_module) and kernel/livepatch/core.c of Linux 5.10-6.12 and 7.2, in their order. It tells whether the module is
// taken, what the kernel says when it is not, and what its sections hold afterwards.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "verify/module_file.h"
#include "verify/target_kernel.h"

namespace klp::verify {

enum class Outcome { accepted, refused, unpredictable };
std::string_view to_string(Outcome outcome);

/// Where the module comes to. Without addresses, places in the module area are made up.
struct Situation {
  std::set<std::string> loaded;  ///< modules that are there when the livepatch is loaded
  /// By module, the livepatch under its own name, and section: its address (/sys/module/NAME/sections).
  std::map<std::string, std::map<std::string, uint64_t>> addresses;
};

struct LoadResult {
  Outcome outcome = Outcome::accepted;
  int error = 0;     ///< errno of a refusal, e.g. ENOEXEC
  std::string step;  ///< where it was refused: "relocations"
  /// What the kernel logs about it, without what it puts in front. "<...>" stands for what only it knows.
  std::vector<std::string> messages;
  /// What the kernel takes without a word and what is wrong all the same.
  std::vector<std::string> faults;
  std::string reason;  ///< why the outcome is unpredictable
};

/// One allocated section as it is in the kernel's memory.
struct LoadedSection {
  std::string name;
  uint64_t flags = 0, address = 0;
  std::vector<std::byte> memory;
  std::vector<bool> unknown;  ///< bytes that the kernel rewrites (tables' sites) or fills with what is not known here
};

struct LoadState;

/// One livepatch in one kernel.
class Loader {
 public:
  /// `kernel` must outlive it. `file` is the module's content.
  Loader(const TargetKernel& kernel, std::vector<std::byte> file, Situation situation);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// Loads the module, runs its init and patches what is there. To be called once.
  LoadResult load();

  /// A module comes, or goes, while the livepatch is enabled. Arriving is refused when the livepatch cannot be applied
  /// to it: then it is the arriving module that the kernel does not load. Needs: load() accepted the livepatch.
  LoadResult module_arrives(const std::string& module);
  LoadResult module_leaves(const std::string& module);

  /// The modules that the livepatch patches, in its order; "vmlinux" may be among them. Needs: load() accepted.
  std::vector<std::string> patched_objects() const;
  /// The sections after all that happened so far. Needs: load() accepted.
  std::vector<LoadedSection> sections() const;

 private:
  template <typename Step>
  LoadResult follow(Step step);
  std::unique_ptr<LoadState> state_;
};

}  // namespace klp::verify
