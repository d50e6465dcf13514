// Relocations, ordinary and livepatch's, early and late: kernel/module/main.c (apply_relocations),
// arch/x86/kernel/module.c (apply_relocate_add, clear_relocate_add), kernel/livepatch/core.c
// (klp_apply_section_relocs, klp_resolve_symbols, klp_find_object_symbol).
#include <algorithm>
#include <cctype>
#include <cstring>

#include "support/bytes.h"
#include "verify/load_state.h"

namespace klp::verify {
namespace {

constexpr uint16_t kLivepatch = 0xff20;

/// One field to be written.
struct Field {
  StateSection& target;
  RawRelocation relocation;
  arch::FieldKind kind;
  uint64_t address = 0, value = 0;
  bool known = true;

  std::span<std::byte> bytes() const { return std::span(target.memory).subspan(relocation.offset, kind.width); }
  bool is_zero() const {
    const auto field = bytes();
    return std::all_of(field.begin(), field.end(), [](std::byte b) { return b == std::byte{0}; });
  }
  bool overflows() const {
    if (kind.width != 4 || kind.pc_relative) return false;
    const auto low = static_cast<uint32_t>(value);
    const uint64_t extended =
        kind.is_signed ? static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(low))) : low;
    return value != extended;
  }
  void mark(bool unknown) const {
    for (uint64_t i = 0; i < kind.width; ++i) target.unknown[relocation.offset + i] = unknown;
  }
};

arch::FieldKind field_kind(const LoadState& s, const RawRelocation& raw) {
  elf::Section section;
  elf::Symbol symbol;
  elf::Relocation relocation;
  relocation.offset = raw.offset;
  relocation.type = raw.type;
  relocation.symbol = &symbol;
  relocation.section = &section;
  return s.arch->field_kind(relocation);
}

int refuse_nonzero(LoadState& s, const Field& field, bool clear) {
  const bool names_place = s.kernel.has_text("existing value is nonzero for sec");  // 7.2
  const auto text = [&](std::string_view what) {
    return fmt::format("x86/modules: {} for {}type {}, loc <...>, val <...>", what,
                       names_place ? "sec <...>, idx <...>, " : "", field.relocation.type);
  };
  if (clear)
    return s.refuse(ENOEXEC, "existing value does not match expected value",
                    text("Invalid relocation target, existing value does not match expected value"));
  return s.refuse(ENOEXEC, "existing value is nonzero",
                  text(s.rules().looks_before_overflow ? "Skipping invalid relocation target, existing value is nonzero"
                                                       : "Invalid relocation target, existing value is nonzero"));
}

int refuse_overflow(LoadState& s, const Field& field) {
  s.say("overflow in relocation type", fmt::format("overflow in relocation type {} val <...>", field.relocation.type));
  s.say("' likely not compiled with -mcmodel=kernel",
        fmt::format("`{}' likely not compiled with -mcmodel=kernel", s.module_name));
  return ENOEXEC;
}

/// A relative field that does not reach is cut short without a word.
void check_reach(LoadState& s, const Field& field) {
  if (field.kind.width != 4 || !field.kind.pc_relative || !field.known) return;
  const auto whole = static_cast<int64_t>(field.value);
  if (whole == static_cast<int32_t>(whole)) return;
  s.fault(fmt::format("{}+{:#x}: the distance does not fit the relocation, and the kernel does not look",
                      s.section_name(field.target), field.relocation.offset));
}

int write(LoadState& s, const Field& field, bool clear) {
  const auto bytes = field.bytes();
  if (clear) {
    const bool same = !field.known || std::memcmp(bytes.data(), &field.value, bytes.size()) == 0;
    if (!same) return refuse_nonzero(s, field, true);
    std::fill(bytes.begin(), bytes.end(), std::byte{0});
    field.mark(false);
    return 0;
  }
  const bool filled = s.rules().wants_zero_fields && !field.is_zero();
  if (s.rules().looks_before_overflow && filled) return refuse_nonzero(s, field, false);
  if (field.overflows()) return refuse_overflow(s, field);
  if (filled) return refuse_nonzero(s, field, false);
  check_reach(s, field);
  std::memcpy(bytes.data(), &field.value, bytes.size());
  // What is not known is not zero either: it must not be written a second time.
  if (!field.known) std::fill(bytes.begin(), bytes.end(), std::byte{0xff});
  field.mark(!field.known);
  return 0;
}

/// arch/powerpc/kernel/module_64.c: restore_r2. Behind a call that leaves the module the loader puts the instruction
/// that restores the TOC pointer; there must be a NOP, or on some kernels that instruction.
int restore_toc(LoadState& s, const Field& field, const StateSymbol& symbol) {
  constexpr uint32_t kNop = 0x60000000, kRestore = 0xe8410018;  // ld r2,24(r1)
  const bool branch = field.kind.pc_relative && field.kind.mask != ~0ULL;
  if (!branch || (symbol.raw.section != 0 && symbol.raw.section != kLivepatch)) return 0;
  const uint64_t behind = field.relocation.offset + sizeof(uint32_t);
  const auto left = s.arch->leaving(field.target.memory, field.relocation.offset, s.symbol_name(symbol));
  const bool room = behind + sizeof kRestore <= field.target.memory.size();
  const uint32_t next = room ? read_le<uint32_t>(field.target.memory, behind) : 0;
  if (left == arch::Arch::Leaving::lacks_nop && !(next == kRestore && s.rules().takes_restored_calls))
    return s.refuse(ENOEXEC, "%s: Expected nop after call",
                    fmt::format("{}: Expected nop after call, got {:08x} at <...>", s.module_name, next));
  if (left == arch::Arch::Leaving::fine && next == kNop)
    std::memcpy(field.target.memory.data() + behind, &kRestore, sizeof kRestore);
  return 0;
}

/// Whether the field holds the value as it is; parts of instructions on other machines than x86_64 are not modelled.
bool is_whole(const Field& field) {
  return field.kind.width == 8 || (field.kind.width == 4 && field.kind.mask == ~0ULL);
}

/// Types of which nothing is written need not be known.
bool is_accepted(const LoadState& s, const RawRelocation& raw) {
  if (s.arch->loader_accepts(raw.type)) return true;
  try {
    return field_kind(s, raw).width == 0;
  } catch (const Error&) {
    return false;
  }
}

int write_one(LoadState& s, StateSection& target, const RawRelocation& raw, bool clear) {
  if (raw.symbol >= s.symbols.size())
    throw Unpredictable(fmt::format("a relocation names symbol {} of {}", raw.symbol, s.symbols.size()));
  if (!is_accepted(s, raw))
    return s.refuse(ENOEXEC, "%s: Unknown rela relocation",
                    fmt::format("{}: Unknown rela relocation: {}", s.module_name, raw.type));
  const StateSymbol& symbol = s.symbols[raw.symbol];
  Field field{target, raw, field_kind(s, raw), target.address + raw.offset, 0, symbol.known};
  if (field.kind.width == 0) return 0;
  if (raw.offset > target.memory.size() || target.memory.size() - raw.offset < field.kind.width)
    throw Unpredictable(
        fmt::format("a relocation at {:#x} of {}, which has {:#x} bytes: what lies behind is overwritten", raw.offset,
                    s.section_name(target), target.memory.size()));
  if (!s.early && s.section_name(target).starts_with(".init"))
    throw Unpredictable(
        fmt::format("a relocation of {} is written when it is no longer there", s.section_name(target)));
  if (!s.early && target.rewritten[raw.offset])
    throw Unpredictable(fmt::format("{}+{:#x}: a relocation comes when the kernel has replaced what it belongs to",
                                    s.section_name(target), raw.offset));
  if (!is_whole(field)) {
    field.mark(true);
    return restore_toc(s, field, symbol);
  }
  if (symbol.raw.section == 0 && raw.symbol != 0 && symbol.value == 0)
    (field.kind.pc_relative ? s.missing_called : s.missing_asked_for).insert(raw.symbol);
  field.value = symbol.value + static_cast<uint64_t>(raw.addend);
  if (field.kind.pc_relative) field.value -= field.address;
  return write(s, field, clear);
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
  if (!symbol.known) symbol.value = kModuleArea;
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
  const auto table = s.content(relas);
  for (uint64_t i = 0; i < relas.header.size / kRelocationSize; ++i) {
    if (const int error = write_one(s, target, raw_relocation(table, i), clear)) return error;
  }
  return 0;
}

void zero_fields(LoadState& s, const StateSection& relas) {
  StateSection& target = s.sections[relas.header.info];
  const auto table = s.content(relas);
  for (uint64_t i = 0; i < relas.header.size / kRelocationSize; ++i) {
    const RawRelocation raw = raw_relocation(table, i);
    const Field field{target, raw, field_kind(s, raw)};
    const auto bytes = field.bytes();
    std::fill(bytes.begin(), bytes.end(), std::byte{0});
    field.mark(false);
  }
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
