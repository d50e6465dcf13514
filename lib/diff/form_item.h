// The pieces of the normal form of shipped binaries (image_form.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "elf/elf_object.h"

namespace klp::diff {

struct ImageFunction {  ///< or a variable
  const elf::Symbol* symbol = nullptr;
  std::string name;       ///< stable_name; a .cold part has its own
  std::string_view file;  ///< the FILE symbol of a local one, "meminfo.c"; empty for globals
};

/// A place that a form refers to.
struct FormReference {
  const elf::Symbol* symbol = nullptr;    ///< whose it is; null for constants without a name
  const elf::Section* section = nullptr;  ///< where it lies
  uint64_t value = 0;                     ///< like a symbol's
};

/// A form, and what it refers to in the order of the text. The text alone does not tell symbols apart that differ in a
/// number of the compiler, nor constants whose first part is equal: image_pairing.h does.
struct FormText {
  std::string text;
  std::vector<FormReference> references{};
};

struct FormItem {       ///< one instruction of a function
  uint64_t offset = 0;  ///< in the function
  uint8_t size = 0;
  std::string text;                          ///< its form, unprintable in part
  size_t before_target = std::string::npos;  ///< in text; npos: it refers to nothing
  std::string_view table{};                  ///< of an entry: "__jump_table"; offset is its site's, size is 0
  std::vector<FormReference> references{};

  /// What it refers to: "sk_free", or "@12" for an instruction of the function; may be empty.
  std::string_view target() const {
    return before_target == std::string::npos ? std::string_view() : std::string_view(text).substr(before_target + 1);
  }
};

/// Whether all of it can be printed, or is white space.
bool is_text(std::string_view text);

/// Whether what lies in a section is never written. The linker's script can make .rodata writable (vmlinux's is).
bool holds_constants(const elf::Section& section);

}  // namespace klp::diff
