// Explanations: which change of the source is behind a function, and over which others it came into the module.
//
// What is known: the definitions of the touched files with their changed lines (the text of the source), and what the
// compiler inlined where (DWARF). From both follows what a changed function owes its change to. Where it does not, the
// explanation says so instead of guessing.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "diff/closure.h"
#include "diff/compare.h"
#include "diff/type_blame.h"
#include "diff/unit_types.h"
#include "elf/debug_info.h"
#include "support/finding.h"
#include "support/source_changes.h"

namespace klp::diff {

/// Why a changed function changed.
struct Cause {
  std::string text;   ///< a sentence without an end, the function being "it": "net/core/sock.c:120 changes sk_foo(),
                      ///< inlined here (line 431)"
  std::string place;  ///< "net/core/sock.c:120"; empty where no changed line was found
  const SourceDefinition* definition = nullptr;  ///< that changes there
};

class Explanations {
 public:
  /// All must outlive it. `source` may be null: then only what the objects tell is said. Without `types`, every type
  /// that changes in the text counts as a reason.
  Explanations(const SourceChanges* source, const elf::DebugInfo& original, const elf::DebugInfo& patched,
               const ChangeSet& changes, TypesOnDemand types = {});

  /// The causes of a changed function by its name, the nearest first: its own lines, then inlined functions and macros,
  /// then types and variables; when there are none, what else is known. Empty without a source.
  const std::vector<Cause>& causes(std::string_view function) const;

  /// Why a piece is carried: a whole sentence first, then the links of the chain up to its root, and why the root is
  /// there. `carried` has all pieces of the closure.
  std::vector<std::string> chain(const Carried& piece,
                                 const std::unordered_map<const Piece*, const Carried*>& carried) const;

  /// Why a variable or table counts as changed: the lines, where they are known, then `reason`.
  std::vector<std::string> of_data(std::string_view name, const std::string& reason) const;

  /// Why a function of the original is not in the patched object.
  std::string why_gone(const Piece& removed, const Pieces& patched) const;

  /// Changed functions and variables of `unit`'s own source file that no explanation so far begins with, but for those
  /// in `told`, and why: "helper (new, drivers/hid/hid-nintendo.c:2366-2383): inlined into probe".
  std::vector<std::string> left_out(const std::set<std::string, std::less<>>& told, const std::string& unit,
                                    const Pieces& patched) const;

  /// The findings, each with the place of its symbol: the lines that the patch changes in it or for it, or else where
  /// it stands. Places that are there already stay. What follows from a changed layout says so.
  Findings with_places(const Findings& findings) const;

  /// Why a root is carried, in the same form.
  std::vector<std::string> of_root(const Carried& root) const;

 private:
  const TypeBlame* types() const;
  std::string consequence(const std::string& code, const std::string& symbol) const;
  std::string place_of_type(const Finding& finding) const;
  std::string changed_place(const std::string& name) const;
  std::string place_of_symbol(const std::string& name) const;
  std::string own_place(const std::string& name) const;
  std::string why_left_out(const SourceDefinition& d, const Pieces& patched) const;
  std::string place_of_mention(const std::string& symbol, std::string_view message) const;

  const SourceChanges* source_;
  const elf::DebugInfo& original_;
  const elf::DebugInfo& patched_;
  std::unordered_map<const Piece*, const FunctionChange*> changes_;
  std::set<std::string, std::less<>> changed_names_;                  ///< of functions, changed or new
  std::multimap<std::string_view, const SourceDefinition*> by_name_;  ///< structures without "struct "
  TypesOnDemand read_types_;
  mutable std::optional<TypeBlame> types_;
  mutable std::map<std::string, std::vector<Cause>> known_;
  mutable std::set<const SourceDefinition*> named_;  ///< by any cause
};

}  // namespace klp::diff
