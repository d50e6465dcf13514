// Relocations, ordinary and livepatch's, early and late: kernel/module/main.c (apply_relocations),
// kernel/livepatch/core.c (klp_apply_section_relocs, klp_resolve_symbols, klp_find_object_symbol). How a field is
// written is the machine's.
#include <algorithm>
#include <cctype>

#include "support/bytes.h"
#include "verify/load_state.h"

namespace klp::verify {
namespace {

constexpr uint16_t kLivepatch = 0xff20;

/// A field of the livepatch is written when its module's code and constants are write-protected.
void check_late(const LoadState& s, const StateSection& target, const RawRelocation& raw) {
  const std::string_view name = s.section_name(target);
  if (s.rules().frees_init && name.starts_with(".init"))
    throw Unpredictable(fmt::format("a relocation of {} is written when it is no longer there", name));
  if (target.rewritten[raw.offset])
    throw Unpredictable(
        fmt::format("{}+{:#x}: a relocation comes when the kernel has replaced what it belongs to", name, raw.offset));
  if (s.rules().protects_modules && !s.arch->loader_accepts_late(raw.type, target.header.flags))
    throw Unpredictable(
        fmt::format("{}+{:#x}: a relocation is stored in memory that is write-protected by then", name, raw.offset));
}

int write_one(LoadState& s, StateSection& target, const RawRelocation& raw, bool clear) {
  if (raw.symbol >= s.symbols.size())
    throw Unpredictable(fmt::format("a relocation names symbol {} of {}", raw.symbol, s.symbols.size()));
  const auto width = s.machine->width(raw.type);
  if (!width) return s.machine->refuse_type(s, raw.type);
  if (*width == 0) return 0;
  if (raw.offset > target.memory.size() || target.memory.size() - raw.offset < *width)
    throw Unpredictable(
        fmt::format("a relocation at {:#x} of {}, which has {:#x} bytes: what lies behind is overwritten", raw.offset,
                    s.section_name(target), target.memory.size()));
  if (!s.early) check_late(s, target, raw);
  const StateSymbol& symbol = s.symbols[raw.symbol];
  if (symbol.raw.section == 0 && raw.symbol != 0 && symbol.value == 0)
    (field_kind(*s.arch, raw).pc_relative ? s.missing_called : s.missing_asked_for).insert(raw.symbol);
  return s.machine->write(s, {target, raw, symbol}, clear);
}

/// What the kernel's vsscanf makes of "%N[^SET]" (lib/vsprintf.c): at most `width` characters, one at least.
std::optional<std::string_view> scan(std::string_view& text, std::string_view end, size_t width) {
  const std::string_view found = text.substr(0, std::min({text.find_first_of(end), text.size(), width}));
  if (found.empty()) return std::nullopt;
  text.remove_prefix(found.size());
  return found;
}

bool skip(std::string_view& text, std::string_view expected) {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(expected.size());
  return true;
}

struct KlpName {
  std::string_view object, symbol;
  uint64_t sympos = 0;
};

std::optional<KlpName> scan_symbol(const LoaderRules& rules, std::string_view text) {
  if (!skip(text, ".klp.sym.")) return std::nullopt;
  const auto object = scan(text, ".", rules.object_name_width);
  if (!object || !skip(text, ".")) return std::nullopt;
  const auto symbol = scan(text, ",", rules.symbol_name_width);
  if (!symbol || !skip(text, ",")) return std::nullopt;
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())) != 0) text.remove_prefix(1);
  if (text.empty() || std::isdigit(static_cast<unsigned char>(text.front())) == 0) return std::nullopt;
  KlpName name{*object, *symbol, 0};
  for (const char c : text) {
    if (std::isdigit(static_cast<unsigned char>(c)) == 0) break;
    name.sympos = name.sympos * 10 + static_cast<uint64_t>(c - '0');
  }
  return name;
}

/// The value of one symbol of a klp section for `object`.
int resolve_klp_symbol(LoadState& s, StateSymbol& symbol, const std::string& object) {
  std::string_view text = s.symbol_name(symbol);
  if (symbol.raw.section != kLivepatch) {
    s.say("livepatch: symbol %s at rela sec",
          fmt::format("symbol {} at rela sec <...> is not marked as a livepatch symbol", text));
    return s.refuse(EINVAL, "livepatch: symbol %s is not marked",
                    fmt::format("symbol {} is not marked as a livepatch symbol", text));
  }
  // Later, names are read from a copy that cuts them.
  if (!s.early && s.rules().symbol_name_width < 128) text = text.substr(0, s.rules().symbol_name_width);
  const auto name = scan_symbol(s.rules(), text);
  if (!name)
    return s.refuse(EINVAL, "livepatch: symbol %s has an incorrectly",
                    fmt::format("symbol {} has an incorrectly formatted name", text));
  const bool in_vmlinux = name->object == "vmlinux";
  if (object != "vmlinux" && in_vmlinux)
    return s.refuse(
        EINVAL, "livepatch: invalid access to vmlinux symbol",
        fmt::format("invalid access to vmlinux symbol '{}' from module-specific livepatch relocation section",
                    name->symbol));
  const elf::Symbol* found = nullptr;
  const int error = find_object_symbol(s, std::string(name->object), name->symbol, name->sympos, found, symbol.value);
  symbol.known = error == 0 && symbol.value != 0;
  if (!symbol.known) symbol.value = s.machine->module_area();
  return error;
}

/// Weak symbols that the kernel does not export are at address 0. Code that may do without them asks for their address.
void check_missing(const LoadState& s) {
  for (const uint32_t index : s.missing_called) {
    if (s.missing_asked_for.contains(index)) continue;
    throw Unpredictable(
        fmt::format("{} is weak and not in this kernel, and code calls it without looking whether it is",
                    s.symbol_name(s.symbols[index])));
  }
}

}  // namespace

arch::FieldKind field_kind(const arch::Arch& arch, const RawRelocation& raw) {
  elf::Section section;
  elf::Symbol symbol;
  elf::Relocation relocation;
  relocation.offset = raw.offset;
  relocation.type = raw.type;
  relocation.symbol = &symbol;
  relocation.section = &section;
  return arch.field_kind(relocation);
}

void mark_unknown(StateSection& section, uint64_t offset, uint64_t size, bool unknown) {
  std::fill_n(section.unknown.begin() + static_cast<ptrdiff_t>(offset), size, unknown);
}

bool is_rewritten(const StateSection& section, uint64_t offset) {
  for (uint64_t i = offset; i < std::min<uint64_t>(offset + 4, section.rewritten.size()); ++i) {
    if (section.rewritten[i]) return true;
  }
  return false;
}

int find_object_symbol(LoadState& s, const std::string& object, std::string_view name, uint64_t sympos,
                       const elf::Symbol*& found, uint64_t& address) {
  const bool vmlinux = object == "vmlinux";
  if (object == s.module_name) throw Unpredictable("the livepatch refers to its own symbols as another module's");
  std::vector<const elf::Symbol*> all;
  if (vmlinux || s.situation.loaded.contains(object)) all = s.kernel.kallsyms(object, name, object != s.coming);
  const uint64_t wanted = sympos == 0 ? 2 : sympos;
  const uint64_t count = std::min<uint64_t>(all.size(), wanted);
  found = count == 0 ? nullptr : all[count - 1];
  if (found == nullptr || (vmlinux && found->value == 0))
    return s.refuse(EINVAL, "livepatch: symbol '%s' not found",
                    fmt::format("symbol '{}' not found in symbol table", name));
  if (count > 1 && sympos == 0)
    return s.refuse(
        EINVAL, "livepatch: unresolvable ambiguity",
        fmt::format("unresolvable ambiguity for symbol '{}' in object '{}'", name, vmlinux ? "(null)" : object));
  if (sympos != count && sympos > 0)
    return s.refuse(EINVAL, "livepatch: symbol position",
                    fmt::format("symbol position {} for symbol '{}' in object '{}' not found", sympos, name, object));
  address = 0;
  if (vmlinux) {
    address = found->value;
  } else if (const auto own = s.situation.addresses.find(object);
             own != s.situation.addresses.end() && found->is_defined()) {
    const auto section = own->second.find(std::string(found->section->name));
    if (section != own->second.end()) address = section->second + found->value;
  }
  return 0;
}

int write_relocations(LoadState& s, const StateSection& relas, bool clear) {
  StateSection& target = s.sections[relas.header.info];
  if (!target.in_memory) throw Unpredictable("a section is relocated that is not in the kernel's memory");
  s.machine->begin_relocations(s);
  const auto table = s.content(relas);
  for (uint64_t i = 0; i < relas.header.size / kRelocationSize; ++i) {
    if (const int error = write_one(s, target, raw_relocation(table, i), clear)) return error;
  }
  return 0;
}

int write_klp_section(LoadState& s, const StateSection& relas, const std::string& object, bool clear) {
  const std::string_view name = s.section_name(relas);
  std::string_view text = name;
  std::optional<std::string_view> owner;
  if (skip(text, ".klp.rela.")) owner = scan(text, ".", s.rules().object_name_width);
  if (!owner)
    return s.refuse(EINVAL, "livepatch: section %s has an incorrectly",
                    fmt::format("section {} has an incorrectly formatted name", name));
  if (*owner != object) return 0;
  const auto table = s.content(relas);
  for (uint64_t i = 0; !clear && i < relas.header.size / kRelocationSize; ++i) {
    const RawRelocation relocation = raw_relocation(table, i);
    if (relocation.symbol >= s.symbols.size())
      throw Unpredictable(fmt::format("{} names symbol {} of {}", name, relocation.symbol, s.symbols.size()));
    if (const int error = resolve_klp_symbol(s, s.symbols[relocation.symbol], object)) return error;
  }
  return write_relocations(s, relas, clear);
}

int write_object_relocations(LoadState& s, const std::string& object, bool clear) {
  for (size_t i = 1; i < s.sections.size(); ++i) {
    const StateSection& section = s.sections[i];
    if ((section.header.flags & elf::kShfRelaLivepatch) == 0) continue;
    // Clearing goes on where applying stops.
    const int error = write_klp_section(s, section, object, clear);
    if (error != 0 && !clear) return error;
  }
  return 0;
}

int apply_relocations(LoadState& s) {
  for (size_t i = 1; i < s.sections.size(); ++i) {
    const StateSection& section = s.sections[i];
    if (section.header.info >= s.sections.size()) continue;
    if (s.percpu != 0 && section.header.info == s.percpu && section.header.type == elf::kShtRela &&
        section.header.size >= kRelocationSize && s.rules().skips_percpu)
      s.fault(
          fmt::format("{}: this kernel does not apply the relocations of per-cpu variables", s.section_name(section)));
    // A kernel that applies those of per-cpu variables writes to the file's copy, which is not modelled.
    if ((s.sections[section.header.info].header.flags & elf::kShfAlloc) == 0) continue;
    int error = 0;
    if ((section.header.flags & elf::kShfRelaLivepatch) != 0) {
      if (!s.rules().relocates_late_only) error = write_klp_section(s, section, "vmlinux");
    } else if (section.header.type == elf::kShtRela) {
      error = write_relocations(s, section);
    }
    if (error != 0) return error;
  }
  check_missing(s);
  return 0;
}

}  // namespace klp::verify
