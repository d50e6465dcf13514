// Units of the real kernel compiled in variants, and linked: what the truth tests of `compare` compare.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "diff/image_compare.h"
#include "kernel/index.h"
#include "kernel/replay.h"
#include "kernel/shadow_tree.h"
#include "support/files.h"

namespace klp::test {

class Builds {
 public:
  /// Of KLP_TEST_KERNEL, or the newest fetched 6.1.
  Builds();

  const kernel::KernelIndex& index() const { return index_; }

  /// Unit sources that are compiled as vmlinux and modules have them, spread over the tree.
  std::vector<std::string> spread(size_t count) const;

  /// A file of the kernel's source.
  std::string source(const std::string& file) const;

  /// Compiles `unit`, with other files than the source has (path, content) and with `options` behind the command's own.
  /// The object is called `name`. Thread-safe. Error when it does not compile.
  fs::path compile(const std::string& unit, const std::string& name,
                   const std::vector<std::pair<std::string, std::string>>& files = {},
                   const std::string& options = {}) const;

  /// The object with its functions' sections in the opposite order, as a linker may put them.
  fs::path reordered(const fs::path& object) const;

  /// Both objects linked, each at another address, with what they lack in another order. With objects of the same
  /// module behind them, linked as one.
  std::pair<fs::path, fs::path> linked(const fs::path& before, const fs::path& after) const;

  /// One relocatable object of several, as a module is made.
  fs::path module(const fs::path& object, const std::vector<fs::path>& others) const;

 private:
  kernel::Kernel kernel_;
  kernel::KernelIndex index_;
  TempDir work_;
};

/// What each way to compare says.
struct Said {
  std::set<std::string> units, objects, images;  ///< names of functions and variables that differ
  std::map<std::string, uint64_t> noise;         ///< of all three
  std::string reasons;                           ///< of all changes, for messages
};
Said compare_all_ways(const Builds& builds, const fs::path& before, const fs::path& after);

}  // namespace klp::test
