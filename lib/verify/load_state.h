// What the steps of loader.h hand on to each other. Each step returns 0 or the errno of its refusal, as the kernel's
// functions do.
#pragma once

#include <cerrno>

#include <optional>

#include "arch/arch.h"
#include "elf/klp_abi.h"
#include "verify/loader.h"
#include "verify/machine.h"

namespace klp::verify {

struct StateSection {
  RawSection header;
  uint64_t address = 0;
  bool made_up = false;           ///< `address` is, though the others' were given
  bool in_memory = false;         ///< moved to its final place; else what is read lies in the file's copy
  std::vector<std::byte> memory;  ///< when in_memory
  std::vector<bool> rewritten;    ///< by the processing of tables
  std::vector<bool> unknown;
};

struct StateSymbol {
  RawSymbol raw;
  uint64_t value = 0;
  bool known = true;  ///< whether `value` is; else it is one of the places where it may be
};

struct PatchedFunction {
  std::string name;
  uint64_t sympos = 0, new_function = 0;
  bool named = true;
};

struct PatchedObject {
  std::string name;  ///< "vmlinux" or a module
  std::vector<PatchedFunction> functions;
};

struct LoadState {
  LoadState(const TargetKernel& target, std::vector<std::byte> content, Situation where)
      : kernel(target), file(std::move(content)), situation(std::move(where)) {}

  const TargetKernel& kernel;
  std::vector<std::byte> file;
  Situation situation;
  const arch::Arch* arch = nullptr;
  std::unique_ptr<Machine> machine;
  RawHeader header;
  std::vector<StateSection> sections;
  std::vector<StateSymbol> symbols;
  std::set<uint32_t> missing_called, missing_asked_for;  ///< of weak imports that are not there, by index

  uint32_t names = 0, symtab = 0, strtab = 0, modinfo = 0, this_module = 0, versions = 0, percpu = 0;
  std::string info_name, module_name;  ///< .modinfo's, struct module's
  std::string coming;                  ///< the module that is being loaded now
  bool livepatch = false, gpl = true, early = true;
  std::vector<PatchedObject> objects;
  LoadResult result;

  const LoaderRules& rules() const { return kernel.rules(); }

  /// Logs `text` when the kernel has `literal`, the constant start of the message.
  void say(std::string_view literal, std::string text);
  void fault(std::string text) { result.faults.push_back(std::move(text)); }
  int refuse(int error, std::string_view literal, std::string text);

  std::string_view section_name(const StateSection& section) const;
  std::string_view symbol_name(const StateSymbol& symbol) const;
  /// The first allocated section of that name; 0: none (kernel/module/main.c: find_sec).
  uint32_t find_section(std::string_view name) const;
  /// What a section holds now.
  std::span<const std::byte> content(const StateSection& section) const;
  /// The section in memory that holds [address, address + size), null when none does.
  StateSection* maybe_at(uint64_t address, uint64_t size = 1);
  /// The string at an address of the module.
  std::string string_at(uint64_t address);
};

/// The steps of load_module, in order.
int check_elf(LoadState& state);
int check_module_info(LoadState& state);
int move_sections(LoadState& state);
int resolve_symbols(LoadState& state);
int apply_relocations(LoadState& state);
int process_tables(LoadState& state);

/// The value of a .modinfo entry, from behind `previous` on; null data when there is none.
std::string_view maybe_modinfo(const LoadState& state, std::string_view tag, std::string_view previous = {});

/// One relocation section, already resolved (apply_relocate_add), or its undoing.
int write_relocations(LoadState& state, const StateSection& relas, bool clear = false);
/// What a type's field is, as lib/arch says; its Error for types that kernel objects cannot have.
arch::FieldKind field_kind(const arch::Arch& arch, const RawRelocation& raw);
void mark_unknown(StateSection& section, uint64_t offset, uint64_t size, bool unknown);
/// Whether the processing of tables has replaced something of a relocation's first four bytes.
bool is_rewritten(const StateSection& section, uint64_t offset);
/// One klp relocation section for `object`; those of other objects are left alone.
int write_klp_section(LoadState& state, const StateSection& relas, const std::string& object, bool clear = false);
/// All of them.
int write_object_relocations(LoadState& state, const std::string& object, bool clear);
/// What lib/runtime's own post_unpatch callback does for a module that goes or is refused, where the livepatch has it.
void clear_by_runtime(LoadState& state, const std::string& object);
/// klp_find_object_symbol: the symbol, or the messages why it was not found. `address` is 0 when only the kernel knows.
int find_object_symbol(LoadState& state, const std::string& object, std::string_view name, uint64_t sympos,
                       const elf::Symbol*& found, uint64_t& address);

/// The module's init: klp_enable_patch.
int enable_patch(LoadState& state);
int patch_arrived(LoadState& state, PatchedObject& object);

}  // namespace klp::verify
