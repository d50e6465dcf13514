// Which source file, and line, a shipped binary's code was compiled from, by its DWARF.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "elf/elf_object.h"

namespace klp::elf {

class CompileUnits {
 public:
  /// `shipped` is vmlinux or a .ko with its debug information. Without any, nothing is known. Error when libelf does
  /// not take the file.
  explicit CompileUnits(const ElfObject& shipped);
  ~CompileUnits();
  CompileUnits(CompileUnits&&) noexcept;

  /// The source of the unit that a function belongs to, as the compiler was called ("fs/proc/array.c", or with a path
  /// of the machine that built it in front); assembly files have theirs. Empty when it is not known. Of a linked image
  /// by the address; of a module by the FILE symbol in front of a local function, for a global one by its name.
  std::string source_of(const Symbol& function) const;

  /// The source lines that the instruction at an address of a linked image stands for: its own, and those of the calls
  /// that were inlined there. Empty when nothing is known, and for modules.
  std::vector<unsigned> lines_at(uint64_t address) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace klp::elf
