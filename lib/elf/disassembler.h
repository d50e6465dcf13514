// Splitting machine code into instructions (LLVM MC), as far as comparing functions needs it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace klp::elf {

enum class Flow : uint8_t { none, jump, conditional_jump, call };

/// One instruction. `flow` is set for direct branches only: those whose target is an immediate.
struct Instruction {
  uint64_t offset = 0;  ///< from the start of the code
  uint8_t size = 0;
  Flow flow = Flow::none;
  bool nop = false;
  uint16_t condition =
      0;  ///< of a conditional jump: equal numbers mean the same condition whatever the length of the branch
  uint32_t number = 0;  ///< of the instructions before it that are no NOPs
  int64_t target = 0;   ///< of a direct branch: offset from the start of the code (without regard to relocations)
};

/// Not thread-safe; make one per thread.
class Disassembler {
 public:
  /// `machine` is e_machine (EM_X86_64). Error when LLVM has no such target.
  explicit Disassembler(uint16_t machine);
  ~Disassembler();
  Disassembler(Disassembler&&) noexcept;

  /// Decodes all of `code`. A byte that starts no known instruction becomes an instruction of size 1 without flow (on
  /// POWER, whose instructions are words, of size 4), so that the sizes always add up to the code's.
  std::vector<Instruction> decode(std::span<const std::byte> code) const;

  /// An address in [low, high) that an instruction at `at` has in it: as the target of a direct branch, as a constant,
  /// or as the fixed part of the place where it loads or stores, also relative to the program counter. On POWER only
  /// branches have one; power_addresses() has the others.
  struct Mention {
    uint64_t at = 0, address = 0;
    bool branch = false;
  };

  /// All such of code that is linked to run at `start`, in ascending order of `at`. A constant that only looks like an
  /// address is among them.
  std::vector<Mention> mentions(std::span<const std::byte> code, uint64_t start, uint64_t low, uint64_t high) const;

  /// What an instruction loads, stores or pushes as a constant, in two variants of it.
  struct Immediates {
    int64_t before = 0, after = 0;
  };

  /// The constants of two instructions that are equal in everything else; nothing when they are not, or are no moves of
  /// a constant.
  std::optional<Immediates> changed_immediate(std::span<const std::byte> before,
                                              std::span<const std::byte> after) const;

  /// What becomes of the address that the instruction at `offset` has in the field that ends at `field_end`, as far as
  /// the instructions after it tell without following branches. On POWER the field is a slot's distance, and the
  /// address what is loaded from there.
  struct AddressFate {
    enum class Kind {
      unknown,
      not_taken,  ///< it is where the instruction loads or stores
      stored,
      on_stack,
      passed
    };
    Kind kind = Kind::unknown;
    uint64_t at = 0;  ///< offset of the store or of the call
  };
  AddressFate fate_of_address(std::span<const std::byte> code, uint64_t offset, uint64_t field_end) const;

  /// What one instruction does with the general registers, as sets: bit n is the n-th that can hold an address.
  struct RegisterUse {
    uint32_t address = 0;  ///< base or index of the place where it loads or stores
    uint32_t value = 0;    ///< read otherwise
    uint32_t implied = 0;  ///< read without being an operand
    uint32_t result = 0;   ///< what comes of the operands goes here
    uint32_t lost = 0;     ///< overwritten as a whole
    bool memory = false, store = false, call = false, lea = false;
    bool ends = false;      ///< a return or a trap
    bool jumps = false;     ///< an indirect jump
    bool known = false;     ///< decoded; false: anything may happen
    bool constant = false;  ///< its last operand is a constant, which its last bytes are
  };

  /// For the instruction at `offset`.
  RegisterUse registers_of(std::span<const std::byte> code, uint64_t offset) const;

  /// The sets of registers that hold arguments at a call, a result at a return, and anything across a call.
  struct CallRegisters {
    uint32_t arguments = 0, result = 0, kept = 0;
  };
  CallRegisters call_registers() const;

  /// Text of one instruction, for messages.
  std::string text(std::span<const std::byte> code, uint64_t offset) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace klp::elf
