// What the linker makes of code whose addresses are in halves: two instructions that add up to a distance from a
// register.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "elf/elf_object.h"

namespace klp::arch {

class LinkedCode {
 public:
  virtual ~LinkedCode() = default;

  /// Whether a relocation of this type is half of an address (or all of it, in one instruction), counted from the
  /// symbol kBase; and whether it is the upper half, which the linker may leave out when it is zero.
  virtual bool is_half(uint32_t type) const = 0;
  virtual bool is_upper(uint32_t type) const = 0;

  /// Whether a relocation sets up the register that such distances are counted from.
  virtual bool sets_base(uint32_t type) const = 0;

  /// An instruction with such a half in a linked image.
  struct Half {
    int64_t value = 0;  ///< what it adds
    uint32_t from = 0;  ///< the register that it adds to
    uint32_t to = 0;    ///< of an upper half: where the sum goes
    bool loads_slot =
        false;  ///< it loads what is at the address; the linker may have put the address itself in its place
  };

  /// Nothing when `linked` is not what a linker makes of `compiled`. Both are one instruction; the compiled one has a
  /// relocation of `type`, for which is_half() holds.
  virtual std::optional<Half> half(uint32_t type, std::span<const std::byte> compiled,
                                   std::span<const std::byte> linked) const = 0;

  virtual uint32_t base_register() const = 0;

  /// The distance of the entry point for calls from inside to that from outside, which is the symbol.
  virtual uint64_t local_entry(const elf::Symbol& function) const = 0;

  static constexpr const char* kBase = ".TOC.";
};

/// Of an e_machine value; null for machines where a linked instruction's field is the whole address.
const LinkedCode* linked_code_for(uint16_t machine);

}  // namespace klp::arch
