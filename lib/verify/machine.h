// What the module loaders of the machines do in ways of their own: arch/*/kernel/module*.c, the tables that they
// process, and what lib/runtime undoes after them. loader.h's steps call it where the kernel calls its architecture.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "verify/module_file.h"

namespace klp::verify {

struct LoadState;
struct StateSection;
struct StateSymbol;

/// A relocation about to be written: its type is known, and its field lies in `target`.
struct Field {
  StateSection& target;
  const RawRelocation& relocation;
  const StateSymbol& symbol;

  uint64_t address() const;  ///< of the field
  /// Symbol and addend; known when the symbol's value is.
  uint64_t value() const;
};

/// One livepatch's way through the loader; made anew for each. The functions that return int give 0 or an errno, as
/// the steps of load_state.h do.
class Machine {
 public:
  virtual ~Machine() = default;

  virtual uint64_t module_area() const = 0;  ///< where modules lie
  virtual uint64_t file_copy() const = 0;    ///< where a file is read to

  /// Changes of the file's sections and symbols before they are moved (module_frob_arch_sections).
  virtual int arrange(LoadState&) { return 0; }

  /// The bytes that a relocation of this type touches; nothing for a type that the loader refuses, 0 when it does
  /// nothing.
  virtual std::optional<uint64_t> width(uint32_t type) const = 0;
  virtual int refuse_type(LoadState& state, uint32_t type) const = 0;

  /// apply_relocate_add: its start, and one relocation. With `clear` it is undone (clear_relocate_add).
  virtual void begin_relocations(LoadState&) {}
  virtual int write(LoadState& state, const Field& field, bool clear) = 0;

  /// From module_finalize to the notifiers: the tables whose sites the kernel replaces. Marks what is rewritten.
  virtual int process_tables(LoadState& state) = 0;
  /// What is wrong with a relocation that is written when the module's init runs, or later; "" when nothing is.
  virtual std::string_view late_trouble(const LoadState& state, const StateSection& target,
                                        const RawRelocation& relocation) const = 0;

  /// The init of a module with klp-diff's runtime begins.
  virtual void begin_init(LoadState&) {}
  /// What that runtime does for `object`, which goes or was refused (lib/runtime/klp_runtime_sites_*.h).
  virtual void put_back(LoadState& state, const std::string& object) = 0;
};

/// Error: an e_machine that is not supported.
std::unique_ptr<Machine> machine_for(uint16_t machine);

namespace x86_64 {
std::unique_ptr<Machine> machine();
}
namespace ppc64 {
std::unique_ptr<Machine> machine();
}

}  // namespace klp::verify
