// Who uses a function or variable in a shipped binary, found by reading all of its code and data.
//
// The relocations of a linked kernel are not complete (6.1: a tenth of the direct calls have none) or gone (6.12), so
// its instructions are decoded and its data searched for addresses. A module's are complete.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "diff/outside_uses.h"
#include "diff/tables.h"
#include "elf/symbol_index.h"

namespace klp::diff {

class ShippedUses {
 public:
  /// Decodes the code (about a second for vmlinux, a few ms for a module). `shipped` must outlive it. A module must
  /// have been read with its relocations; `sizes` are for its tables.
  ShippedUses(const elf::SymbolIndex& shipped, const TableSizes& sizes);
  ~ShippedUses();
  ShippedUses(ShippedUses&&) noexcept;

  /// All uses of a global symbol, those of its own unit and by itself included, by address. `unit` holds the source as
  /// elf::CompileUnits::source_of tells it. Marks for debugging tools are left out. Empty when there is no such symbol.
  std::vector<OutsideUse> of(const std::string& name) const;

 private:
  struct State;
  class Image;
  class Module;
  std::unique_ptr<State> state_;
};

}  // namespace klp::diff
