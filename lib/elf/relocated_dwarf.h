// An object's debug information for libdw, which wants linked addresses: the debug sections are relocated in a copy,
// and an address gets the number of its section in the upper bits. So every address read back says which section it
// means. Only for lib/elf's own files: it shows libdw's type.
#pragma once

#include <memory>

#include "elf/elf_object.h"

struct Dwarf;

namespace klp::elf {

inline constexpr unsigned kSectionShift = 40;

class RelocatedDwarf {
 public:
  enum class Rows {
    kept,
    dropped  ///< of the line tables only the file names are there
  };

  /// Error when libelf does not take the object. `get()` is null when it has no (readable) debug information. Location
  /// and range lists, .debug_aranges and .debug_frame are left out.
  RelocatedDwarf(const ElfObject& object, Rows rows);
  ~RelocatedDwarf();
  RelocatedDwarf(const RelocatedDwarf&) = delete;
  ::Dwarf* get() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace klp::elf
