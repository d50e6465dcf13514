// Names that ## makes: which macros can make a given name.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "kernel/definition_uses.h"
#include "kernel/name_table.h"

namespace klp::kernel {

/// Follows words from the texts that use a macro through the parameters of macros to the gaps of a chain a ## b ## c.
/// A name is taken to be made by a macro when its chain matches with each gap filled by nothing, by a word that can
/// come there, or by what a macro whose name can come there makes; chains are followed three deep.
class PastePatterns {
 public:
  void add(const Item& macro, NameTable& names);

  /// To be called once, when all texts are known.
  void follow(const std::vector<DefinitionUses>& definitions);

  /// The macros that can make `name`.
  std::vector<uint32_t> making(uint32_t name, const NameTable& names) const;

 private:
  struct Part {
    std::string word;
    int64_t parameter = -1;  ///< a gap
  };
  struct Chain {
    uint32_t macro = 0;
    std::vector<Part> parts;
  };
  struct Match;
  bool fill(const Match& match, size_t part, std::string_view rest, int depth, const NameTable& names) const;
  bool can_come(Place place, std::string_view word, int depth, const NameTable& names) const;
  bool makes(const Chain& chain, std::string_view word, int depth, const NameTable& names) const;

  std::vector<Chain> chains_;
  std::map<uint32_t, std::vector<size_t>> chains_of_;  ///< by macro
  std::map<Place, std::set<uint32_t>> words_;          ///< that can come to a macro's argument
  std::map<Place, std::vector<uint32_t>> pasting_;     ///< those of them that are macros with a chain
};

}  // namespace klp::kernel
