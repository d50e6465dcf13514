// What the loader's model asks about the kernel that is to load a module. Everything is read from the kernel itself:
// the texts and symbols of its image, its exports, its config, its BTF; no question is about a version number.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "elf/elf_object.h"
#include "elf/ftrace_site.h"
#include "elf/symvers.h"

namespace klp::verify {

/// How this kernel's loader differs from others, Linux 5.4-7.3.
struct LoaderRules {
  std::string vermagic;                 ///< what a module's must be; empty: the image does not tell
  uint64_t module_struct_size = 0;      ///< sizeof(struct module); 0: not known
  uint64_t alt_instr_size = 0;          ///< sizeof(struct alt_instr); 0: not known
  bool unique_sections_first = false;   ///< one symbol table, .modinfo and this_module, names before types
  bool checks_symbol_sections = false;  ///< symbols of sections that are not there are refused (6.1 and later)
  bool forbids_writable_code = false;
  bool wants_zero_fields = false;      ///< x86: relocated fields must be zero
  bool looks_before_overflow = false;  ///< ... which is looked at before the value's size is (x86 up to 6.2)
  bool takes_restored_calls = false;   ///< ppc64: a call that was led out before may be so again (6.7 and later)
  bool clears_relocations = false;     ///< zeroes what it wrote when the patched module goes (x86 from 6.3)
  bool relocates_late_only = false;    ///< klp relocations against vmlinux wait for the patch's init (up to 5.7)
  bool skips_percpu = false;           ///< relocations of per-cpu variables are not applied (at least up to 6.12)
  bool frees_init = true;              ///< code and data of .init* are gone when a module's init is over (not on ppc64)
  bool protects_modules = false;       ///< code and constants of modules are read-only once they are in place
  bool modversions = false, force_load = false, needs_signature = false, any_namespace = false;
  /// How many characters the scan of klp symbol names takes of object and symbol (kernel/livepatch/core.c:
  /// klp_resolve_symbols).
  size_t object_name_width = 55, symbol_name_width = 511;
};

class TargetKernel {
 public:
  struct Pieces {
    const elf::ElfObject* vmlinux = nullptr;  ///< with symbols and data; its relocations are not needed
    const elf::Exports* exports = nullptr;
    std::function<bool(const std::string&)> config;  ///< whether CONFIG_... (without the prefix) is set
    std::map<std::string, uint64_t> struct_sizes;    ///< of "module" and "alt_instr"
    /// Whether a file of the kernel's source has this text, for what the image cannot tell; false without a source.
    std::function<bool(const std::string& file, const std::string& text)> source_has;
    /// A module as shipped, read with the relocations of its allocated sections; null when the kernel has none.
    std::function<const elf::ElfObject*(const std::string&)> module;
  };

  /// The pieces must outlive it. Error: a vmlinux without .rodata.
  explicit TargetKernel(Pieces pieces);

  const LoaderRules& rules() const { return rules_; }
  const elf::ElfObject& vmlinux() const { return *pieces_.vmlinux; }
  const elf::ElfObject* module(const std::string& name) const { return pieces_.module(name); }

  /// Whether the image holds this text: a message that this kernel can print.
  bool has_text(std::string_view text) const { return text_at(text).has_value(); }

  bool config(const std::string& symbol) const { return pieces_.config(symbol); }
  const elf::Export* maybe_export(std::string_view name) const;

  /// The symbols that the livepatch core counts for a name, in its order: by address in vmlinux, by symbol table in a
  /// module. `live`: of a module whose init is over, when the symbols of init code are gone.
  std::vector<const elf::Symbol*> kallsyms(const std::string& object, std::string_view name, bool live) const;

  /// The addresses of vmlinux' symbols whose names begin with `prefix`.
  const std::set<uint64_t>& addresses_of(std::string_view prefix) const;

  /// Whether ftrace can redirect the function that starts at `symbol`; init code's sites are forgotten after init.
  elf::FtraceSite ftrace_site(const std::string& object, const elf::Symbol& symbol) const;

 private:
  std::optional<std::string_view> text_at(std::string_view text) const;
  void read_rules();

  Pieces pieces_;
  LoaderRules rules_;
  mutable std::map<std::string, std::set<uint64_t>, std::less<>> addresses_;
};

}  // namespace klp::verify
