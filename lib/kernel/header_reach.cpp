// All headers that any reached unit includes are read once, into one closure: a name that only some other unit's
// headers lead to costs a proof at worst.
#include "kernel/header_reach.h"

#include <algorithm>
#include <set>

#include "kernel/name_closure.h"
#include "support/progress.h"
#include "support/run.h"

namespace klp::kernel {
namespace {

HeaderChange change_of(const TouchedFile& file, const SourceTrees& trees) {
  HeaderChange change;
  if (file.change == FileChange::modified) {
    change = compare_headers(read_file(trees.original / file.path), read_file(trees.patched / file.path));
  } else {
    change.unclear = file.path + " is added, removed or renamed";
  }
  return change;
}

/// Units whose text or whose includes hold the file.
std::set<std::string> units_with(const KernelIndex& index, const std::string& file) {
  const std::vector<std::string> including = index.units_including(file), compiling = index.units_compiling(file);
  std::set<std::string> result(including.begin(), including.end());
  result.insert(compiling.begin(), compiling.end());
  return result;
}

/// What -D options give to the unit's text.
std::string definitions_in(const std::string& command) {
  std::string text;
  for (size_t at = command.find(" -D"); at != command.npos; at = command.find(" -D", at + 1))
    text.append(command, at + 3, command.find(' ', at + 3) - at - 3).append(" ");
  std::replace(text.begin(), text.end(), '\'', ' ');
  return text;
}

/// The proof by names for the units at `candidates`.
class NameProof {
 public:
  NameProof(std::vector<ReachedUnit>& units, std::vector<size_t> candidates, const KernelIndex& index,
            const SourceTrees& trees)
      : units_(units), candidates_(std::move(candidates)), trees_(trees) {
    std::vector<const Unit*> list;
    for (const size_t i : candidates_) list.push_back(units[i].unit);
    includes_ = index.files_included_by(list);
  }

  void run(const ChangedNames& change) {
    const Progress progress(fmt::format("looking for the changed names in {} units", candidates_.size()));
    read_headers();
    for (const size_t i : candidates_) read_source(*units_[i].unit);
    const std::vector<NameClosure::Affected> affected = closure_.affected(change);
    std::vector<std::string> why(candidates_.size());
    for (const auto& [file, text] : headers_) {
      if (!affected[text].is) continue;
      for (const uint32_t i : includes_.at(file)) {
        if (why[i].empty()) why[i] = fmt::format("{} uses {}", file, affected[text].why);
      }
    }
    for (size_t i = 0; i < candidates_.size(); ++i) {
      const NameClosure::Affected& own = affected[sources_[i]];
      if (own.is) why[i] = fmt::format("uses {}", own.why);
      ReachedUnit& unit = units_[candidates_[i]];
      unit.why = why[i];
      unit.names = own.is && own.directly;
      if (why[i].empty()) unit.proof = Proof::names;
    }
  }

 private:
  void read_headers() {
    for (const auto& [file, positions] : includes_) {
      throw_if_interrupted();
      const TokenText text(read_file(trees_.patched / file));
      headers_.emplace_back(file, closure_.add(split_items(text, Blanks::count), NameClosure::Role::header));
    }
  }

  void read_source(const Unit& unit) {
    throw_if_interrupted();
    const TokenText text(read_file(trees_.patched / unit.source) + "\n" + definitions_in(unit.command) + "\n");
    sources_.push_back(closure_.add(split_items(text, Blanks::count), NameClosure::Role::source));
  }

  std::vector<ReachedUnit>& units_;
  std::vector<size_t> candidates_;
  const SourceTrees& trees_;
  std::map<std::string, std::vector<uint32_t>> includes_;  ///< positions in candidates_
  NameClosure closure_;
  std::vector<std::pair<std::string, size_t>> headers_;  ///< file, number of its text
  std::vector<size_t> sources_;                          ///< by position in candidates_
};

}  // namespace

ChangedNames changed_names(const HeaderChange& change, const FillsHole& fills_hole) {
  ChangedNames result{change.names, change.macros, {}};
  for (const GrownType& type : change.grown) {
    if (fills_hole(type)) {
      result.names.insert(type.members.begin(), type.members.end());
      result.filled.insert(type.tag);
    } else {
      result.names.insert(type.tag);
    }
  }
  return result;
}

std::vector<ReachedUnit> reached_units(const KernelIndex& index, const SourceTrees& trees,
                                       const std::vector<TouchedFile>& touched,
                                       const std::vector<const Unit*>& compiled) {
  std::set<std::string> without;
  for (const Unit* unit : compiled) without.insert(unit->unit);
  std::map<std::string, ReachedUnit> reached;
  for (const TouchedFile& file : touched) {
    if (kind_of_path(file.path) != PathKind::header || change_of(file, trees).empty()) continue;
    for (const std::string& name : units_with(index, file.old_path)) {
      const auto unit = index.units().find(name);
      if (unit == index.units().end() || without.count(name) != 0) continue;
      reached.try_emplace(name, ReachedUnit{&unit->second, file.path, Proof::none, {}});
    }
  }
  std::vector<ReachedUnit> result;
  for (auto& [name, unit] : reached) result.push_back(std::move(unit));
  return result;
}

std::vector<GrownType> grown_types(const SourceTrees& trees, const std::vector<TouchedFile>& touched) {
  std::vector<GrownType> result;
  for (const TouchedFile& file : touched) {
    if (kind_of_path(file.path) != PathKind::header) continue;
    const HeaderChange change = change_of(file, trees);
    result.insert(result.end(), change.grown.begin(), change.grown.end());
  }
  return result;
}

void prove_by_names(std::vector<ReachedUnit>& units, const KernelIndex& index, const SourceTrees& trees,
                    const std::vector<TouchedFile>& touched, const FillsHole& fills_hole, Removed removed) {
  HeaderChange all;
  std::map<std::string, std::string> unclear;  // by unit
  for (const TouchedFile& file : touched) {
    if (kind_of_path(file.path) != PathKind::header) continue;
    const HeaderChange change = change_of(file, trees);
    all.add(change);
    if (change.unclear.empty()) continue;
    for (const std::string& unit : units_with(index, file.old_path))
      unclear.try_emplace(unit, file.path + ": " + change.unclear);
  }
  if (removed == Removed::ignored) {
    if (all.removed.empty()) return;
    for (const std::string& name : all.removed) all.names.erase(name);
  }
  std::vector<size_t> candidates;
  for (size_t i = 0; i < units.size(); ++i) {
    if (const auto found = unclear.find(units[i].unit->unit); found != unclear.end()) {
      units[i].why = found->second;
    } else {
      candidates.push_back(i);
    }
  }
  if (!candidates.empty()) NameProof(units, std::move(candidates), index, trees).run(changed_names(all, fills_hole));
}

}  // namespace klp::kernel
