// From a sound file to sections in their place with every symbol's value: .modinfo, versions, and imports
// (kernel/module/main.c: check_modinfo, layout_and_allocate, simplify_symbols; version.c).
#include <algorithm>
#include <array>

#include "support/bytes.h"
#include "verify/load_state.h"

namespace klp::verify {
namespace {

constexpr uint64_t kVersionSize = 64;  // struct modversion_info: a CRC and a name
constexpr uint16_t kUndefined = 0, kLivepatch = 0xff20, kAbsolute = 0xfff1, kCommon = 0xfff2;

// include/linux/license.h, the same 5.10-6.12.
bool is_gpl(std::string_view license) {
  constexpr std::array<std::string_view, 6> kCompatible = {"GPL",          "GPL v2",       "GPL and additional rights",
                                                           "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"};
  return std::find(kCompatible.begin(), kCompatible.end(), license) != kCompatible.end();
}

/// Whether the module was made for the exporter's version of the symbol.
bool check_version(LoadState& s, std::string_view name, uint32_t crc) {
  if (s.versions == 0) return s.rules().force_load;
  const auto table = s.content(s.sections[s.versions]);
  for (uint64_t at = 0; at + kVersionSize <= table.size(); at += kVersionSize) {
    if (raw_string(table, at + 8) != name) continue;
    if (read_le<uint64_t>(table, at) == crc) return true;
    s.say("%s: disagrees about version of symbol",
          fmt::format("{}: disagrees about version of symbol {}", s.info_name, name));
    return false;
  }
  s.say("%s: no symbol version for", fmt::format("{}: no symbol version for {}", s.info_name, name));
  return false;
}

bool imports_namespace(const LoadState& s, std::string_view name_space) {
  std::string_view entry = maybe_modinfo(s, "import_ns");
  while (entry.data() != nullptr && entry != name_space) entry = maybe_modinfo(s, "import_ns", entry);
  return entry.data() != nullptr;
}

/// 0, or ENOENT when nothing exports it, or why the export is of no use.
int resolve(LoadState& s, StateSymbol& symbol, std::string_view name) {
  const elf::Export* found = s.kernel.maybe_export(name);
  if (found == nullptr || (found->gpl_only && !s.gpl)) return ENOENT;
  const std::string exporter(found->module);
  if (exporter != "vmlinux" && !s.situation.loaded.contains(exporter)) return ENOENT;
  if (s.rules().modversions && !check_version(s, name, found->crc)) return EINVAL;
  if (!found->name_space.empty() && !imports_namespace(s, found->name_space)) {
    s.say("%s: module uses symbol",
          fmt::format("{}: module uses symbol ({}) from namespace {}, but does not import it.", s.module_name, name,
                      found->name_space));
    if (!s.rules().any_namespace) return EINVAL;
  }
  symbol.known = false;
  symbol.value = s.machine->module_area();
  if (exporter != "vmlinux") return 0;
  for (const elf::Symbol* exported : s.kernel.vmlinux().symbols_named(name)) {
    if (exported->is_local()) continue;
    symbol.value = exported->value;
    symbol.known = true;
  }
  return 0;
}

int import(LoadState& s, StateSymbol& symbol) {
  const std::string_view name = s.symbol_name(symbol);
  const int error = resolve(s, symbol, name);
  if (error == 0) return 0;
  const bool may_miss = symbol.raw.bind() == elf::kStbWeak || name == "_GLOBAL_OFFSET_TABLE_";
  if (error == ENOENT && may_miss) return 0;
  s.say("%s: Unknown symbol %s (err %d)", fmt::format("{}: Unknown symbol {} (err -{})", s.module_name, name, error));
  return error;
}

int define(LoadState& s, StateSymbol& symbol) {
  const uint16_t index = symbol.raw.section;
  if (index >= s.sections.size()) {
    if (!s.rules().checks_symbol_sections)
      throw Unpredictable(
          fmt::format("symbol {} is in section {}, which does not exist", s.symbol_name(symbol), index));
    return s.refuse(ENOEXEC, "%s: Symbol %s has an invalid section index",
                    fmt::format("{}: Symbol {} has an invalid section index {} (max {})", s.module_name,
                                s.symbol_name(symbol), index, s.sections.size() - 1));
  }
  const StateSection& section = s.sections[index];
  symbol.known = section.in_memory && !section.made_up;
  symbol.value = symbol.raw.value + (section.in_memory ? section.address : s.machine->file_copy());
  if (index == s.percpu) symbol.value = symbol.raw.value;  // an offset into each processor's area
  return 0;
}

/// The addresses that sections come to: given, or in the module area, behind each other.
void place(LoadState& s, StateSection& section, uint64_t& next) {
  const auto own = s.situation.addresses.find(s.module_name);
  section.address = 0;
  if (own != s.situation.addresses.end()) {
    const auto found = own->second.find(std::string(s.section_name(section)));
    if (found != own->second.end()) section.address = found->second;
  }
  section.made_up = section.address == 0 && own != s.situation.addresses.end();
  if (section.address != 0) return;
  const uint64_t align = std::max<uint64_t>(section.header.align, 1);
  next = (next + align - 1) / align * align;
  section.address = next;
  next += section.header.size;
}

int check_writable_code(LoadState& s) {
  constexpr uint64_t kBoth = elf::kShfWrite | elf::kShfExec;
  for (size_t i = 0; s.rules().forbids_writable_code && i < s.sections.size(); ++i) {
    if ((s.sections[i].header.flags & kBoth) == kBoth)
      return s.refuse(ENOEXEC, "%s: section %s (index %d) has invalid WRITE|EXEC",
                      fmt::format("{}: section {} (index {}) has invalid WRITE|EXEC flags", s.module_name,
                                  s.section_name(s.sections[i]), i));
  }
  return 0;
}

}  // namespace

// The kernel takes a tag's first entry; behind an entry it goes on at the next one.
std::string_view maybe_modinfo(const LoadState& s, std::string_view tag, std::string_view previous) {
  if (s.modinfo == 0) return {};
  const RawSection& header = s.sections[s.modinfo].header;
  const auto all = raw_part(s.file, header.offset, header.size);
  uint64_t at = 0;
  if (previous.data() != nullptr) {
    at = static_cast<uint64_t>(reinterpret_cast<const std::byte*>(previous.data()) - all.data()) + previous.size();
  }
  while (at < all.size()) {
    const std::string_view entry = raw_string(s.file, header.offset + at);
    if (entry.size() > tag.size() && entry.starts_with(tag) && entry[tag.size()] == '=')
      return entry.substr(tag.size() + 1);
    at += entry.size() + 1;
  }
  return {};
}

int check_module_info(LoadState& s) {
  if (s.rules().needs_signature)
    return s.refuse(EKEYREJECTED, "Loading of %s is rejected", "Loading of unsigned module is rejected");
  // Versions and .modinfo are read from the file's copy.
  for (const uint32_t index : {s.versions, s.modinfo}) s.sections[index].header.flags &= ~elf::kShfAlloc;
  const elf::Export* layout = s.rules().modversions ? s.kernel.maybe_export("module_layout") : nullptr;
  if (layout != nullptr && !check_version(s, "module_layout", layout->crc)) return ENOEXEC;
  const std::string_view magic = maybe_modinfo(s, "vermagic");
  const auto comparable = [&](std::string_view text) {
    return s.versions == 0 ? text : text.substr(std::min(text.find(' '), text.size()));
  };
  if (magic.data() == nullptr && !s.rules().force_load) return ENOEXEC;
  if (magic.data() != nullptr && !s.rules().vermagic.empty() && comparable(magic) != comparable(s.rules().vermagic))
    return s.refuse(ENOEXEC, "%s: version magic",
                    fmt::format("{}: version magic '{}' should be '{}'", s.info_name, magic, s.rules().vermagic));
  s.livepatch = maybe_modinfo(s, "livepatch").data() != nullptr;
  const std::string_view license = maybe_modinfo(s, "license");
  s.gpl = license.data() != nullptr && is_gpl(license);
  if (const int error = s.machine->arrange(s)) return error;
  return check_writable_code(s);
}

int move_sections(LoadState& s) {
  if (s.percpu != 0) s.sections[s.percpu].header.flags &= ~elf::kShfAlloc;
  for (const uint32_t index : {s.symtab, s.strtab}) s.sections[index].header.flags |= elf::kShfAlloc;
  uint64_t next = s.machine->module_area();
  for (StateSection& section : s.sections) {
    if ((section.header.flags & elf::kShfAlloc) == 0) continue;
    if (section.header.size > (1ULL << 30)) return ENOMEM;
    place(s, section, next);
    section.memory.assign(section.header.size, std::byte{0});
    if (section.header.type != elf::kShtNobits) {
      const auto bytes = raw_part(s.file, section.header.offset, section.header.size);
      std::copy(bytes.begin(), bytes.end(), section.memory.begin());
    }
    section.rewritten.assign(section.header.size, false);
    section.unknown.assign(section.header.size, false);
    section.in_memory = true;
  }
  if (s.situation.loaded.contains(s.module_name)) return EEXIST;
  return 0;
}

int resolve_symbols(LoadState& s) {
  const auto table = s.content(s.sections[s.symtab]);
  int result = 0;
  for (uint64_t i = 0; i < table.size() / kSymbolSize; ++i) {
    StateSymbol& symbol = s.symbols.emplace_back();
    symbol.raw = raw_symbol(table, i);
    symbol.value = symbol.raw.value;
    if (i == 0 || symbol.raw.section == kAbsolute || symbol.raw.section == kLivepatch) continue;
    int error = 0;
    if (symbol.raw.section == kUndefined) {
      error = import(s, symbol);
    } else if (symbol.raw.section == kCommon) {
      if (s.symbol_name(symbol).starts_with("__gnu_lto")) continue;
      error = s.refuse(ENOEXEC, "%s: please compile with -fno-common",
                       fmt::format("{}: please compile with -fno-common", s.module_name));
    } else {
      error = define(s, symbol);
    }
    if (error != 0) result = error;
  }
  return result;
}

}  // namespace klp::verify
