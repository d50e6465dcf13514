// What a finished livepatch module contains, as plain data: also of modules that other tools made.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "elf/elf_object.h"

namespace klp::elf {

/// Which tool's conventions were found in the module.
enum class LivepatchMaker { klp_diff, kpatch, klp_build, by_hand, unknown };

struct ReplacedFunction {
  std::string object;  ///< "vmlinux" or a module
  std::string name;
  uint64_t sympos = 0;  ///< 0: the name is unique
  std::string new_function;
  uint64_t new_size = 0;  ///< bytes
};

struct LivepatchCallback {
  std::string object;  ///< "vmlinux" or a module
  std::string kind;    ///< "pre_patch", as in the kernel's struct klp_callbacks
  std::string function;
};

struct LivepatchState {
  uint64_t id = 0, version = 0;
};

struct KlpSite {
  std::string section;  ///< the section that is relocated
  uint64_t offset = 0;  ///< in it
  std::string inside;   ///< function or data object around the site; empty: none
  uint64_t inside_offset = 0;
  std::string type;  ///< "R_X86_64_PC32"
  std::string symbol_object, symbol;
  uint64_t sympos = 0;
  int64_t addend = 0;
};

/// One section .klp.rela.OBJECT.SECTION: applied when OBJECT is loaded.
struct KlpSection {
  std::string name, object;
  std::vector<KlpSite> sites;
};

/// A symbol that the module loader resolves by its exports.
struct ImportedSymbol {
  std::string name;
  bool weak = false;
  std::optional<uint32_t> crc;  ///< from __versions
};

/// A table that the kernel processes at load: __bug_table, .altinstructions, ...
struct SpecialTable {
  std::string name;
  uint64_t bytes = 0;
  uint64_t entries = 0;  ///< 0: the size of an entry could not be told
};

/// A table entry that was not carried as it was: the kernel would have read it too early (klp_abi.h: kLateSection).
struct LateEntry {
  std::string object, function;
  uint64_t offset = 0;  ///< of the site in the function
  std::string table, key, treatment;
};

struct CarriedSymbol {
  std::string name, section;
  uint64_t size = 0;       ///< bytes
  std::string replaces;    ///< functions: the name of what it replaces; empty: new, or carried along
  bool read_only = false;  ///< data
};

struct LivepatchContent {
  std::string file;
  uint64_t file_size = 0;
  uint16_t machine = 0;
  std::string name, vermagic;
  std::vector<std::pair<std::string, std::string>> modinfo;  ///< as in the file, in order
  LivepatchMaker maker = LivepatchMaker::unknown;

  bool functions_known =
      false;  ///< false: what the module replaces is decided by its code, or laid out in an unknown way
  std::vector<ReplacedFunction> replaced;
  std::vector<LivepatchCallback> callbacks;  ///< of modules made by klp-diff, kpatch-build and klp-build
  std::vector<LivepatchState> states;        ///< of modules made by klp-diff
  std::vector<KlpSection> klp_sections;
  std::vector<ImportedSymbol> imports;
  std::vector<SpecialTable> tables;
  std::vector<LateEntry> late_entries;  ///< of modules made by klp-diff
  std::vector<CarriedSymbol> functions, data;

  /// What the kernel would refuse or silently get wrong, one sentence each. Not a full check of the module.
  std::vector<std::string> faults;

  size_t klp_relocation_count() const;
};

/// Errors name the file: no ELF, truncated, not a kernel module, not a livepatch (no livepatch= in .modinfo).
LivepatchContent read_livepatch(const std::filesystem::path& module);
LivepatchContent livepatch_content(const ElfObject& module);

/// The functions that a livepatch's static tables say it replaces; nothing when they could not be told with certainty.
/// `maker` is set to the convention that was found.
std::optional<std::vector<ReplacedFunction>> replaced_functions(const ElfObject& module, LivepatchMaker& maker);

/// Callbacks and states of the generators' tables; a fault for an entry that is not as their format says.
void read_callbacks(const ElfObject& module, LivepatchContent& content);

std::string_view to_string(LivepatchMaker maker);

}  // namespace klp::elf
