// Which changed lines gave a type another layout, and which functions that reaches. Used by explain.cpp.
//
// A hunk in a type's text says little: a member put into a union moves nothing, while a member put into a small struct
// moves those of all structs that embed it, whose text stays.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "diff/unit_types.h"
#include "support/source_changes.h"

namespace klp::diff {

class TypeBlame {
 public:
  /// Both must outlive it.
  TypeBlame(const SourceChanges& source, const UnitTypes& types);

  /// Whether the objects show that a changed type is no reason for other code to differ: it has its size, and the
  /// members that were there are as before. False as well where an object does not have the type.
  bool is_harmless(const SourceDefinition& type) const;

  struct Use {
    const SourceDefinition* definition;  ///< the changed lines
    std::string type;                    ///< "struct inner"
    std::string holder;                  ///< "struct outer", which embeds it; empty: the function uses `type` itself
  };
  /// The types with another layout that a function uses, itself or in what is inlined into it. By its source name.
  std::vector<Use> uses(std::string_view function) const;

  /// The lines that gave the type another layout, by its name without "struct"; null when no lines of its own did.
  const SourceDefinition* definition_of(std::string_view name) const;

 private:
  struct Changed {
    const elf::LayoutComparison* type;
    const SourceDefinition* definition;
    std::vector<bool> holding;  ///< by TypeId of the patched object: is or embeds it
  };
  const SourceDefinition* changed_at(const elf::LayoutComparison& type) const;
  std::string name_of(elf::TypeId patched) const;

  const SourceChanges& source_;
  const UnitTypes& types_;
  std::vector<Changed> changed_;
};

}  // namespace klp::diff
