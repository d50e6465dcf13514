#include "pair_source.h"

#include <algorithm>
#include <optional>

#include "dependants.h"
#include "kernel/definitions.h"
#include "kernel/patch_set.h"
#include "kernel/tree_pairs.h"
#include "kernel/workspace.h"
#include "support/files.h"

namespace klp::tools {
namespace {

class Patches : public PairSource {
 public:
  explicit Patches(const BuildOptions& options) : options_(options) {}

  std::string name() const override { return options_.patches.front().stem().string(); }

  void read_input() override {
    named_ = with_hint("give unified diffs (git diff, git format-patch, diff -ru) whose paths lie in the kernel tree",
                       [&] { return kernel::read_patches(options_.patches); });
  }

  bool find_pairs(const kernel::Kernel& kernel, const kernel::KernelIndex& index,
                  const std::filesystem::path& directory, report::PhaseClock& clock, std::vector<UnitPair>& pairs,
                  Findings& findings) override {
    clock.begin("patch");
    kernel::check_paths(named_, findings);
    std::filesystem::create_directories(directory / "tree");
    workspace_.emplace(kernel, index, directory / "tree");
    Findings of_applying;
    touched_ = workspace_->apply(options_.patches, of_applying);
    findings.add(of_applying);
    // A half-applied patch says nothing about the rest; what the paths alone speak against leaves the rest worth a
    // look.
    if (of_applying.has_refusal()) return false;
    source_ = kernel.source;
    changes_ = kernel::changed_definitions(source_, workspace_->patched_tree(), touched_);
    const auto units = workspace_->units_to_compile(touched_, findings);
    clock.begin("compile");
    add_pairs(units, pairs, findings);
    return true;
  }

  bool reaches_further() const override {
    return std::any_of(touched_.begin(), touched_.end(), [](const kernel::TouchedFile& file) {
      return kernel::kind_of_path(file.path) == kernel::PathKind::header;
    });
  }

  void add_reached(report::PhaseClock& clock, std::vector<UnitPair>& pairs, Findings& findings) override {
    clock.begin("headers");
    header_reach_ = find_dependants(*workspace_, {touched_, compile_options(), options_.accept}, pairs, findings);
  }

  void add_pairs(const std::vector<const kernel::Unit*>& units, std::vector<UnitPair>& pairs,
                 Findings& findings) override {
    for (const kernel::CompiledUnit& compiled : workspace_->compile(units, touched_, compile_options(), findings)) {
      pairs.push_back({compiled.unit, compiled.original, compiled.patched, {}, compiled.as_shipped});
      if (!compiled.line_marks)
        pairs.back().notes.push_back(
            "compiled without #line marks: functions that only use __LINE__ may count as changed");
    }
  }

  SourceChanges source_changes(const kernel::Unit& unit) const override {
    return kernel::with_definitions_of(unit.source, source_, changes_);
  }

  std::pair<std::string, std::string> origin() const override {
    std::string digests;
    for (const auto& patch : options_.patches)
      digests += (digests.empty() ? "" : ",") + sha256_file(patch).substr(0, 16);
    return {"klp_diff_patches", digests};
  }

  fs::path patched_source(const fs::path& directory) const override { return directory / "tree" / "patched"; }

  bool reports_unchanged() const override { return true; }

  const report::HeaderReach& header_reach() const override { return header_reach_; }

 private:
  kernel::CompileOptions compile_options() const { return {options_.jobs, options_.use_cache, options_.cc_launcher}; }

  const BuildOptions& options_;
  std::vector<kernel::TouchedFile> named_, touched_;
  std::optional<kernel::Workspace> workspace_;
  report::HeaderReach header_reach_;
  std::filesystem::path source_;
  SourceChanges changes_;
};

class Trees : public PairSource {
 public:
  explicit Trees(const BuildOptions& options) : trees_{options.original_tree, options.patched_tree} {}

  std::string name() const override {
    std::error_code error;
    return fs::weakly_canonical(trees_.patched, error).filename().string();  // "." and "x/" have a name then
  }

  void read_input() override {}

  bool find_pairs(const kernel::Kernel& kernel, const kernel::KernelIndex& index, const std::filesystem::path&,
                  report::PhaseClock& clock, std::vector<UnitPair>& pairs, Findings& findings) override {
    clock.begin("pair");
    kernel::check_trees(trees_, kernel, findings);
    for (const kernel::TreePair& pair : kernel::pair_trees(trees_, index, findings).differing)
      pairs.push_back({pair.unit, pair.original, pair.patched, {}});
    return true;
  }

  SourceChanges source_changes(const kernel::Unit&) const override { return {}; }

  /// The trees hold every unit that was compiled anew.
  bool reaches_further() const override { return false; }
  void add_reached(report::PhaseClock&, std::vector<UnitPair>&, Findings&) override {}

  /// Their objects are there already, and equal.
  void add_pairs(const std::vector<const kernel::Unit*>& units, std::vector<UnitPair>& pairs, Findings&) override {
    for (const kernel::Unit* unit : units)
      pairs.push_back({unit, trees_.original / unit->unit, trees_.patched / unit->unit, {}});
  }

  /// No digest: objects hold the path of the directory that they were compiled in, and the same change shall give the
  /// same module.
  std::pair<std::string, std::string> origin() const override { return {"klp_diff_trees", "1"}; }

  fs::path patched_source(const fs::path&) const override { return trees_.patched; }

  /// Many units differ in nothing that counts.
  bool reports_unchanged() const override { return false; }

  const report::HeaderReach& header_reach() const override { return none_; }

 private:
  kernel::BuildTrees trees_;
  report::HeaderReach none_;
};

}  // namespace

std::unique_ptr<PairSource> make_pair_source(const BuildOptions& options) {
  if (!options.patched_tree.empty()) return std::make_unique<Trees>(options);
  return std::make_unique<Patches>(options);
}

}  // namespace klp::tools
