// What the engine asks about an architecture.
//
// To add an architecture: derive from Arch in lib/arch/NAME/, answer the questions below for every relocation type that
// the compiler emits for kernel objects (an unknown one is an Error, never a default), list the kernel's special tables
// with their owner fields, and add the machine to arch_for(). Nothing outside lib/arch names a relocation type or a
// machine.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "arch/table_spec.h"
#include "elf/disassembler.h"
#include "elf/elf_types.h"

namespace klp::arch {

/// How a relocated field is computed, as far as the engine must know.
struct FieldKind {
  uint8_t width = 0;         ///< bytes of the field; 0: nothing is written (R_*_NONE)
  bool pc_relative = false;  ///< S + A - P
  bool is_signed = true;     ///< a 32-bit field is sign-extended to an address
};

class Arch {
 public:
  virtual ~Arch() = default;

  virtual std::string_view name() const = 0;

  /// Throws Error naming type, section and offset for a type that kernel objects cannot have.
  virtual FieldKind field_kind(const elf::Relocation& relocation) const = 0;

  /// Where the reference points to, relative to its symbol: the addend without the PC bias. `field_end_to_pc` is the
  /// number of bytes from the field's start to the end of its instruction; 0 in data, where the base is the field
  /// itself.
  virtual int64_t target_offset(const elf::Relocation& relocation, uint64_t field_to_pc) const = 0;

  /// The inverse: the addend that makes a field refer to `offset`.
  virtual int64_t addend_for(uint32_t type, int64_t offset, uint64_t field_to_pc) const = 0;

  /// Whether the module loader applies this type (arch/*/kernel/module*.c).
  virtual bool loader_accepts(uint32_t type) const = 0;

  /// Code that runs only until the kernel has patched its sites: never, in a module (.altinstr_aux).
  virtual bool runs_before_patching_only(std::string_view section) const = 0;

  virtual uint32_t absolute_type() const = 0;  ///< of an address-sized field
  virtual uint32_t relative_type() const = 0;  ///< of a 32-bit PC-relative one

  /// Whether a function that starts at `function_offset` of its section begins with a site that ftrace can redirect.
  virtual bool has_ftrace_site(std::span<const std::byte> code, std::span<const elf::Relocation> relocations,
                               uint64_t function_offset) const = 0;

  /// Whether a relocation stands for an ftrace call that was turned into a NOP at build time (recordmcount,
  /// -mnop-mcount). The module loader expects the call: the plan writes `call` in front of the field, which then has
  /// `type`.
  struct DormantCall {
    std::byte opcode{};
    uint32_t type = 0;
    int64_t addend = 0;
  };
  virtual std::optional<DormantCall> dormant_ftrace_call(std::span<const std::byte> code,
                                                         const elf::Relocation& relocation,
                                                         uint64_t function_offset) const = 0;

  /// Whether code begins with one of the NOPs that the kernel's tools put in the place of a jump to be switched on.
  virtual bool begins_with_nop(std::span<const std::byte> code) const = 0;

  /// What a static branch that is off at first has in the place of the compiler's jump; `key_addend`, of the entry's
  /// reference to its key, tells. Empty: the code is as the kernel expects it.
  virtual std::span<const std::byte> branch_placeholder(std::span<const std::byte> code, int64_t key_addend) const = 0;

  /// The special tables this architecture's kernels have, up to 6.12.
  virtual const std::vector<TableSpec>& tables() const = 0;
};

/// The architecture of an e_machine value; Error for one that is not supported. The reference stays valid.
const Arch& arch_for(uint16_t machine);

}  // namespace klp::arch
