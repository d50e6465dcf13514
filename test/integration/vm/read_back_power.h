// What the kernel's module loader makes of POWER code: fields that are halves of a distance from r2, calls by way of
// stubs, instructions that it replaces, sites that the processor's features decide about.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "diff/tables.h"
#include "elf/symbol_index.h"
#include "guest_view.h"

namespace klp::test {

/// A piece of code of a loaded module, as compiled and as it is in memory.
struct LoadedCode {
  const diff::Piece& piece;
  uint64_t address;
  const std::vector<std::byte>& memory;
};

/// Where a field leads, and what else the loader has written for its sake.
struct PowerTarget {
  std::optional<uint64_t> address;                            ///< nothing: the field alone does not tell
  std::optional<std::pair<uint64_t, uint64_t>> written = {};  ///< offsets in the code: begin and end
  std::string fault = {};                                     ///< in words, when no loader can have written this
};

class PowerCode {
 public:
  /// Error when the module has neither a .toc nor stubs.
  PowerCode(GuestView& guest, const std::string& module, const elf::SymbolIndex& vmlinux, const diff::Pieces& pieces);

  /// What is wrong with the distance of r2 in front of a function; empty: nothing.
  std::string fault_of_prefix(const diff::Piece& function, uint64_t address);

  /// The instructions at the sites of table entries, by offset in the piece: as the kernel must have made them, or
  /// nothing for those that it may change at any time.
  std::map<uint64_t, std::optional<uint32_t>> sites(const LoadedCode& code,
                                                    const std::vector<diff::TableEntry>& entries);

  /// The target of a field.
  PowerTarget target(const LoadedCode& code, const elf::Relocation& relocation, const diff::Reference& reference);

 private:
  PowerTarget distance(const LoadedCode& code, const elf::Relocation& relocation, const diff::Reference& reference);
  /// Upper halves of addresses by what they belong to; nothing where two of them differ.
  using Uppers = std::map<std::pair<const elf::Symbol*, int64_t>, std::optional<int64_t>>;
  const Uppers& uppers_of(const LoadedCode& code);
  std::optional<int64_t> upper_for(const LoadedCode& code, const elf::Relocation& relocation);
  uint64_t distance_to_entry(uint64_t address);
  PowerTarget call(const LoadedCode& code, uint64_t at, const diff::Reference& reference);
  PowerTarget entry(const LoadedCode& code, uint64_t at) const;
  std::optional<diff::Reference> field_of(const diff::TableEntry& entry, uint64_t offset) const;
  std::optional<uint64_t> features_for(const diff::TableEntry& entry);
  void add_feature(const diff::TableEntry& entry, std::map<uint64_t, std::optional<uint32_t>>& words);
  uint64_t number_at(uint64_t address, uint64_t size);
  uint64_t address_of(const char* variable) const;

  GuestView& guest_;
  const elf::SymbolIndex& vmlinux_;
  const diff::Pieces& pieces_;
  uint64_t base_ = 0;                                                 ///< r2 in the module's functions
  std::map<std::pair<const diff::Piece*, uint64_t>, Uppers> uppers_;  ///< by piece and address
};

}  // namespace klp::test
