// Where build gets its pairs of objects from: source patches that it compiles itself, or two trees that the user
// compiled. All phases after that are the same.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "build_pipeline.h"
#include "kernel/index.h"
#include "kernel/kernel.h"
#include "report/report.h"
#include "support/finding.h"
#include "support/source_changes.h"

namespace klp::tools {

/// The objects of one unit, before and after the change.
struct UnitPair {
  const kernel::Unit* unit = nullptr;  ///< of the kernel's index
  std::filesystem::path original, patched;
  std::vector<std::string> notes;      ///< for the report: how they were made
  std::filesystem::path as_shipped{};  ///< kernel::CompiledUnit
};

class PairSource {
 public:
  virtual ~PairSource() = default;

  /// What the module is called when the user gives no name, before characters that no name has are replaced.
  virtual std::string name() const = 0;

  /// Reads what can be judged without the kernel. Errors: input that is malformed or missing.
  virtual void read_input() = 0;

  /// Makes or finds the pairs, in the order of the units' names; what speaks against the change goes to `findings`.
  /// Returns false when one of these says that looking further makes no sense. `directory` is the working directory;
  /// `clock` is told the phases.
  virtual bool find_pairs(const kernel::Kernel& kernel, const kernel::KernelIndex& index,
                          const std::filesystem::path& directory, report::PhaseClock& clock,
                          std::vector<UnitPair>& pairs, Findings& findings) = 0;

  /// What changes in the sources that a unit is made from, after find_pairs(); empty when only the objects are known.
  virtual SourceChanges source_changes(const kernel::Unit& unit) const = 0;

  /// Whether the change may reach units that it does not touch (through headers), and adding those that it changes;
  /// after find_pairs, and while its directory is there. Each of them is proven unaffected, or compiled.
  virtual bool reaches_further() const = 0;
  virtual void add_reached(report::PhaseClock& clock, std::vector<UnitPair>& pairs, Findings& findings) = 0;

  /// The pairs of units that no change touches but that must join; after find_pairs, and while its directory is there.
  virtual void add_pairs(const std::vector<const kernel::Unit*>& units, std::vector<UnitPair>& pairs,
                         Findings& findings) = 0;

  /// The .modinfo entry that says what the module was made from.
  virtual std::pair<std::string, std::string> origin() const = 0;

  /// Where the patched source lies; `directory` is the working directory.
  virtual std::filesystem::path patched_source(const std::filesystem::path& directory) const = 0;

  /// Whether a unit whose objects turn out to be equal in code and data is worth a place in the report.
  virtual bool reports_unchanged() const = 0;

  /// How units were dealt with that only a touched header reaches; after find_pairs().
  virtual const report::HeaderReach& header_reach() const = 0;
};

/// The source that the options name; they outlive it.
std::unique_ptr<PairSource> make_pair_source(const BuildOptions& options);

}  // namespace klp::tools
