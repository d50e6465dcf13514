// What the engine asks about an architecture.
//
// To add an architecture: derive from Arch in lib/arch/NAME/, answer the questions below for every relocation type that
// the compiler emits for kernel objects (an unknown one is an Error, never a default), list the kernel's special tables
// with their owner fields, and add the machine to arch_for(). Nothing outside lib/arch names a relocation type or a
// machine.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "arch/indirect_entry.h"
#include "arch/key_test.h"
#include "arch/records.h"
#include "arch/table_spec.h"
#include "elf/disassembler.h"

namespace klp::arch {

class Arch {
 public:
  virtual ~Arch() = default;

  virtual std::string_view name() const = 0;

  /// Throws Error naming type, section and offset for a type that kernel objects cannot have.
  virtual FieldKind field_kind(const elf::Relocation& relocation) const = 0;

  /// What must be added to the addend of a relative field to get what it refers to, counted from its symbol.
  /// `to_instruction_end` is the number of bytes from the field's start to the end of its instruction; 0 in data, where
  /// the base is the field itself, unless the table says otherwise.
  virtual int64_t bias(const elf::Relocation& relocation, uint64_t to_instruction_end) const = 0;

  /// Where the reference points to, relative to its symbol: the addend without the bias.
  virtual int64_t target_offset(const elf::Relocation& relocation, int64_t bias) const = 0;

  /// The inverse: the addend that makes a field refer to `offset`.
  virtual int64_t addend_for(uint32_t type, int64_t offset, int64_t bias) const = 0;

  /// Whether the module loader applies this type (arch/*/kernel/module*.c); whether such a field of a module reaches
  /// the kernel and other modules; and whether the loader still applies it when the module is loaded already and its
  /// code and constants are write-protected: so for references into a module that comes later.
  virtual bool loader_accepts(uint32_t type) const = 0;
  virtual bool reaches_out(uint32_t type) const = 0;
  virtual bool loader_accepts_late(uint32_t type, uint64_t section_flags) const = 0;

  /// Whether every module has a symbol of this name that the loader makes for it.
  virtual bool is_made_by_loader(std::string_view symbol) const = 0;

  /// Bytes of an entry of a section of addresses and constants that code loads what it needs from (.toc): what an entry
  /// holds is what the code refers to. 0 for any other section.
  virtual uint64_t slot_size(const elf::Section& section) const = 0;

  virtual bool loads_slot(uint32_t type) const = 0;  ///< what such an entry holds is meant, not the entry itself

  /// Whether what has no name in a writable section is the compiler's constants, which nobody writes.
  virtual bool unnamed_is_constant(std::string_view section) const = 0;

  /// Bytes in front of a function that belong to it, and say where the module's data is.
  virtual uint64_t prefix_size(const elf::Symbol& function) const = 0;

  /// Code that runs only until the kernel has patched its sites: never, in a module (.altinstr_aux). Then: whether a
  /// section that is not executable holds code to be copied over sites.
  virtual bool runs_before_patching_only(std::string_view section) const = 0;
  virtual bool is_replacement_code(std::string_view section) const = 0;

  virtual uint32_t absolute_type() const = 0;  ///< of an address-sized field
  virtual uint32_t relative_type() const = 0;  ///< of a 32-bit PC-relative one
  /// The field of a direct branch that can reach another section: its offset in the instruction, type and bias. Nothing
  /// for a branch that is too short.
  struct BranchField {
    uint64_t offset = 0;
    uint32_t type = 0;
    int64_t bias = 0;
  };
  virtual std::optional<BranchField> branch_field(const elf::Instruction& branch) const = 0;

  /// What speaks against leading a direct branch out of the module, to a function of the kernel or of another module.
  enum class Leaving { fine, lacks_nop, tail_call };
  virtual Leaving leaving(std::span<const std::byte> code, uint64_t branch, std::string_view callee) const = 0;

  virtual bool has_ftrace_site(const FunctionCode& function) const = 0;  ///< ftrace can redirect the function

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

  /// What does the work of the static branch at the start of `code` without the kernel's help; `taken_when_off`: it is
  /// taken while its key is off. Nothing when the site has no room for a jump.
  virtual std::optional<KeyTestCode> key_test(std::span<const std::byte> code, bool taken_when_off) const = 0;

  /// A jump of five bytes, of which 1 to 4 are the distance from its end, then NOPs up to `size`. Empty: there is none.
  virtual std::vector<std::byte> jump_away(uint64_t size) const = 0;
  virtual const std::vector<TableSpec>& tables() const = 0;  ///< those that its kernels have, up to 6.12
  virtual IndirectEntry indirect_entry() const = 0;
  virtual bool uses_per_cpu_area(std::span<const std::byte> instruction) const = 0;  ///< its address counts from there
};

/// The architecture of an e_machine value; Error for one that is not supported. The reference stays valid.
const Arch& arch_for(uint16_t machine);

}  // namespace klp::arch
