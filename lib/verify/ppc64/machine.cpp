// arch/powerpc/kernel/module_64.c of Linux 6.1, for the 64-bit ELF V2 ABI: stubs, r2 and relocations. Types of
// PC-relative kernels (PPC_KERNEL_PCREL, 6.12) are not known here.
#include <elf.h>

#include <algorithm>
#include <cstring>

#include "elf/klp_abi.h"
#include "support/bytes.h"
#include "verify/load_state.h"
#include "verify/ppc64/stubs.h"
#include "verify/ppc64/tables.h"

namespace klp::verify::ppc64 {
namespace {

constexpr uint32_t kEntry = 118;  // R_PPC64_ENTRY, which <elf.h> lacks
constexpr uint16_t kAbsolute = 0xfff1, kLivepatch = 0xff20;
constexpr uint32_t kNop = 0x60000000, kRestore = 0xe8410018;  // ld r2,24(r1)
constexpr uint32_t kDistance = 0x03fffffc;                    // of b and bl
constexpr uint64_t kWord = 4;

uint32_t word_at(const StateSection& section, uint64_t offset) {
  if (offset + kWord > section.memory.size())
    throw Unpredictable("an instruction is looked at that lies behind its section");
  return read_le<uint32_t>(section.memory, offset);
}

template <typename T>
void store(const Field& field, uint64_t value, bool known) {
  const auto part = static_cast<T>(value);
  std::memcpy(field.target.memory.data() + field.relocation.offset, &part, sizeof part);
  mark_unknown(field.target, field.relocation.offset, sizeof part, !known);
}

/// Some bits of two bytes.
void store_half(const Field& field, uint64_t value, uint16_t mask, bool known) {
  const auto old = read_le<uint16_t>(field.target.memory, field.relocation.offset);
  store<uint16_t>(field, (old & ~uint64_t{mask}) | (value & mask), known);
}

void patch(StateSection& section, uint64_t offset, uint32_t word) {
  std::memcpy(section.memory.data() + offset, &word, sizeof word);
  mark_unknown(section, offset, sizeof word, false);
}

bool is_relative_branch(uint32_t word) {
  const uint32_t opcode = word >> 26;
  return (opcode == 18 || opcode == 16) && (word & 2) == 0;
}

/// Distance from a function's global to its local entry point.
uint64_t local_entry(const RawSymbol& symbol) {
  return ((uint64_t{1} << (symbol.other >> 5)) >> 2) << 2;
}

/// What the file has where an instruction of a section is.
uint32_t word_in_file(const LoadState& s, const StateSection& section, uint64_t offset) {
  return read_le<uint32_t>(raw_part(s.file, section.header.offset, section.header.size), offset);
}

class Ppc64 : public Machine {
 public:
  // arch/powerpc/include/asm/book3s/64/{radix,hash}.h: the vmalloc area.
  uint64_t module_area() const override { return 0xc008000000000000; }
  uint64_t file_copy() const override { return 0xc00a000000000000; }

  int arrange(LoadState& s) override;
  std::optional<uint64_t> width(uint32_t type) const override;
  int refuse_type(LoadState& s, uint32_t type) const override;
  void begin_relocations(LoadState& s) override;
  int write(LoadState& s, const Field& field, bool clear) override;
  int process_tables(LoadState& s) override;
  std::string_view late_trouble(const LoadState& s, const StateSection& target,
                                const RawRelocation& relocation) const override;
  void begin_init(LoadState& s) override { late_stubs_ = first_free(s.sections[stubs_]); }
  void put_back(LoadState& s, const std::string& object) override;

 private:
  uint64_t r2(const LoadState& s) const { return (s.sections[toc_].address & ~uint64_t{0xff}) + 0x8000; }
  bool knows_r2(const LoadState& s) const { return !s.sections[toc_].made_up; }

  int write_call(LoadState& s, const Field& field);
  int write_toc_offset(LoadState& s, const Field& field);
  int write_distance(LoadState& s, const Field& field);
  void write_entry(LoadState& s, const Field& field);
  int lead_out(LoadState& s, const Field& field, uint64_t& value);
  int restore_r2(LoadState& s, const Field& field, std::string_view callee);
  int refuse_toc(LoadState& s, const char* type) const;
  std::optional<uint64_t> late_stub(const LoadState& s, const StateSection& code, uint64_t offset) const;
  bool is_used(const LoadState& s, uint64_t stub) const;
  void put_call_back(LoadState& s, StateSection& code, uint64_t offset);

  uint32_t stubs_ = 0, toc_ = 0;
  bool toc_fixed_ = false;
  uint64_t late_stubs_ = 0;
};

/// dedotify, dedotify_versions: ".TOC." becomes an absolute symbol, and no import or version begins with a dot.
void remove_dots(LoadState& s, const RawSection& symtab) {
  const RawSection& strings = s.sections.at(symtab.link).header;
  for (uint64_t i = 1; i < symtab.size / kSymbolSize; ++i) {
    std::byte* at = s.file.data() + symtab.offset + i * kSymbolSize;
    RawSymbol symbol = raw_symbol(raw_part(s.file, symtab.offset, symtab.size), i);
    const std::string_view name = raw_string(s.file, strings.offset + symbol.name);
    if (symbol.section != 0 || !name.starts_with('.')) continue;
    if (name == ".TOC.") std::memcpy(at + 6, &kAbsolute, sizeof kAbsolute);
    ++symbol.name;
    std::memcpy(at, &symbol.name, sizeof symbol.name);
  }
}

void remove_dots_of_versions(LoadState& s, const RawSection& versions) {
  constexpr uint64_t kSize = 64, kName = 8;
  for (uint64_t at = versions.offset; at + kSize <= versions.offset + versions.size; at += kSize) {
    const auto name = s.file.begin() + static_cast<ptrdiff_t>(at + kName);
    if (*name == std::byte{'.'}) std::copy(name + 1, name + (kSize - kName), name);
  }
}

// module_frob_arch_sections.
int Ppc64::arrange(LoadState& s) {
  for (uint32_t i = 1; i < s.sections.size(); ++i) {
    RawSection& section = s.sections[i].header;
    const std::string_view name = s.section_name(s.sections[i]);
    if (name == ".stubs") stubs_ = i;
    if (name == "__versions") remove_dots_of_versions(s, section);
    if (name == ".toc") {
      toc_ = i;
      section.align = std::max<uint64_t>(section.align, 8);
    }
    if (section.type == elf::kShtSymtab) remove_dots(s, section);
  }
  if (stubs_ == 0)
    return s.refuse(ENOEXEC, "%s: doesn't contain .stubs", fmt::format("{}: doesn't contain .stubs.", s.module_name));
  if (toc_ == 0) toc_ = stubs_;
  s.sections[stubs_].header.size = arrange_relocations(s);
  return 0;
}

std::optional<uint64_t> Ppc64::width(uint32_t type) const {
  switch (type) {
    case R_PPC64_ADDR32:
    case R_PPC64_REL24:
    case R_PPC64_REL32:
      return 4;
    case R_PPC64_ADDR64:
    case R_PPC64_TOC:
    case R_PPC64_REL64:
    case kEntry:  // two instructions
      return 8;
    case R_PPC64_TOC16:
    case R_PPC64_TOC16_LO:
    case R_PPC64_TOC16_DS:
    case R_PPC64_TOC16_LO_DS:
    case R_PPC64_TOC16_HA:
    case R_PPC64_REL16_HA:
    case R_PPC64_REL16_LO:
      return 2;
    case R_PPC64_TOCSAVE:
      return 0;
    default:
      return std::nullopt;
  }
}

int Ppc64::refuse_type(LoadState& s, uint32_t type) const {
  return s.refuse(ENOEXEC, "%s: Unknown ADD relocation",
                  fmt::format("{}: Unknown ADD relocation: {}", s.module_name, type));
}

// find_dot_toc.
void Ppc64::begin_relocations(LoadState& s) {
  if (toc_fixed_) return;
  toc_fixed_ = true;
  if (!s.sections[toc_].in_memory || !s.sections[stubs_].in_memory)
    throw Unpredictable(".toc or .stubs is not in the kernel's memory");
  for (StateSection& section : s.sections) {
    if (section.in_memory && section.header.type == elf::kShtRela) mark_order(section);
  }
  for (size_t i = 1; i < s.symbols.size(); ++i) {
    StateSymbol& symbol = s.symbols[i];
    if (symbol.raw.section != kAbsolute || s.symbol_name(symbol) != "TOC.") continue;
    symbol.value = r2(s);
    symbol.known = knows_r2(s);
    return;
  }
}

/// Whether the lowest bits of the symbol's value are known, wherever its section comes to.
void need_low_bits(const LoadState& s, const Field& field) {
  const uint16_t section = field.symbol.raw.section;
  const bool here = section != 0 && section < s.sections.size();
  if (field.symbol.known && (!here || s.situation.addresses.contains(s.module_name))) return;
  if (here && s.sections[section].header.align % kWord == 0 && s.sections[section].header.align != 0) return;
  throw Unpredictable("whether an address is a multiple of four depends on where it comes to");
}

int Ppc64::write(LoadState& s, const Field& field, bool) {
  const uint64_t value = field.value();
  const bool known = field.symbol.known;
  switch (field.relocation.type) {
    case R_PPC64_ADDR32:
      if (known && value >> 32 != 0)
        s.fault(fmt::format("{}+{:#x}: an address is cut to 32 bits", s.section_name(field.target),
                            field.relocation.offset));
      store<uint32_t>(field, value, known);
      return 0;
    case R_PPC64_ADDR64:
      store<uint64_t>(field, value, known);
      return 0;
    case R_PPC64_TOC:
      store<uint64_t>(field, r2(s), knows_r2(s));
      return 0;
    case R_PPC64_REL24:
      return write_call(s, field);
    case kEntry:
      write_entry(s, field);
      return 0;
    case R_PPC64_REL64:
    case R_PPC64_REL32:
    case R_PPC64_REL16_HA:
    case R_PPC64_REL16_LO:
      return write_distance(s, field);
    default:
      return write_toc_offset(s, field);
  }
}

/// A distance of which the kernel does not look whether two halves of 16 bits hold it.
void check_reach(LoadState& s, const Field& field, uint64_t value, bool known) {
  const auto whole = static_cast<int64_t>(value);
  if (!known || whole == static_cast<int32_t>(whole)) return;
  s.fault(fmt::format("{}+{:#x}: the distance does not fit the relocation, and the kernel does not look",
                      s.section_name(field.target), field.relocation.offset));
}

int Ppc64::write_distance(LoadState& s, const Field& field) {
  const uint64_t value = field.value() - field.address();
  const bool known = field.symbol.known && !field.target.made_up;
  if (field.relocation.type == R_PPC64_REL64) {
    store<uint64_t>(field, value, known);
  } else if (field.relocation.type == R_PPC64_REL32) {
    if (value + 0x80000000 > 0xffffffff)
      return s.refuse(ENOEXEC, "%s: REL32 %li out of range",
                      fmt::format("{}: REL32 <...> out of range!", s.module_name));
    store<uint32_t>(field, value, known);
  } else if (field.relocation.type == R_PPC64_REL16_HA) {
    check_reach(s, field, value, known);
    store_half(field, (value + 0x8000) >> 16, 0xffff, known);
  } else {
    store_half(field, value, 0xffff, known);
  }
  return 0;
}

int Ppc64::refuse_toc(LoadState& s, const char* type) const {
  return s.refuse(ENOEXEC, fmt::format("%s: bad {} relocation", type),
                  fmt::format("{}: bad {} relocation (<...>)", s.module_name, type));
}

int Ppc64::write_toc_offset(LoadState& s, const Field& field) {
  const uint32_t type = field.relocation.type;
  const uint64_t value = field.value() - r2(s);
  const bool known = field.symbol.known && knows_r2(s);
  const bool low = type == R_PPC64_TOC16_DS || type == R_PPC64_TOC16_LO_DS;
  const bool alone = type == R_PPC64_TOC16_DS || type == R_PPC64_TOC16;
  const char* name = type == R_PPC64_TOC16 ? "TOC16" : alone ? "TOC16_DS" : "TOC16_LO_DS";
  const uint16_t place = field.symbol.raw.section;
  const bool here = place != 0 && place < s.sections.size();
  if (alone && here && place != toc_ && !s.situation.addresses.contains(s.module_name))
    throw Unpredictable("whether 16 bits reach depends on where the sections come to");
  if (low) need_low_bits(s, field);
  if (low && (value & 3) != 0) return refuse_toc(s, name);
  if (alone && value + 0x8000 > 0xffff) return refuse_toc(s, name);
  if (type == R_PPC64_TOC16_HA) {
    check_reach(s, field, value, known);
    store_half(field, (value + 0x8000) >> 16, 0xffff, known);
  } else {
    store_half(field, value, low ? 0xfffc : 0xffff, known);
  }
  return 0;
}

/// The large model's entry is made shorter when r2 is near, which it is. (addis r2,r12; addi r2,r2)
void Ppc64::write_entry(LoadState& s, const Field& field) {
  constexpr uint32_t kLoad = 0xe84c0000, kAdd = 0x7c426214, kAddis = 0x3c4c0000, kAddi = 0x38420000;
  const uint64_t offset = field.relocation.offset;
  if ((word_at(field.target, offset) & ~uint32_t{0xfffc}) != kLoad || word_at(field.target, offset + kWord) != kAdd)
    return;
  const uint64_t value = r2(s) - field.address();
  patch(field.target, offset, kAddis | (static_cast<uint32_t>((value + 0x8000) >> 16) & 0xffff));
  patch(field.target, offset + kWord, kAddi | (static_cast<uint32_t>(value) & 0xffff));
  if (knows_r2(s) && !field.target.made_up) return;
  mark_unknown(field.target, offset, 2, true);
  mark_unknown(field.target, offset + kWord, 2, true);
}

/// Behind a call that leaves the module the loader puts the instruction that restores r2; there must be a NOP, or on
/// some kernels that instruction.
int Ppc64::restore_r2(LoadState& s, const Field& field, std::string_view callee) {
  if (is_ftrace_call(s, callee)) return 0;
  const auto word = word_at(field.target, field.relocation.offset);
  const uint64_t behind = field.relocation.offset + kWord;
  const std::string place = fmt::format("{}+{:#x}", s.section_name(field.target), field.relocation.offset);
  if (!is_relative_branch(word)) {
    s.fault(place + ": a call's relocation at what is none");
    return 0;
  }
  if ((word & 1) == 0) {
    s.fault(place + ": a jump that leaves the module overwrites its caller's r2");
    return 0;
  }
  const uint32_t next = word_at(field.target, behind);
  if (next == kRestore && s.rules().takes_restored_calls) return 0;
  if (next != kNop) {
    // What the loader itself has written there depends on where the module is.
    const bool as_in_file = word_in_file(s, field.target, behind) == next;
    return s.refuse(ENOEXEC, "%s: Expected nop after call",
                    fmt::format("{}: Expected nop after call, got {} at <...>", s.module_name,
                                as_in_file || next == kRestore ? fmt::format("{:08x}", next) : "<...>"));
  }
  if (behind % kWord != 0) throw Unpredictable("an instruction is replaced that may reach over a page's end");
  patch(field.target, behind, kRestore);
  return 0;
}

int Ppc64::lead_out(LoadState& s, const Field& field, uint64_t& value) {
  const std::string_view callee = s.symbol_name(field.symbol);
  StubTarget target{value, field.symbol.known, callee};
  // Addresses that nobody has.
  constexpr uint64_t kElsewhere = 0xd000000000000000, kRoom = 1ULL << 32;
  if (!target.known) target.address = kElsewhere + field.relocation.symbol * kRoom + (value & (kRoom - 1));
  value = stub_for(s, s.sections[stubs_], r2(s), target);
  return restore_r2(s, field, callee);
}

int Ppc64::write_call(LoadState& s, const Field& field) {
  const uint16_t place = field.symbol.raw.section;
  const bool leaves = place == 0 || place == kLivepatch;
  uint64_t value = field.value();
  bool known = !field.target.made_up && (leaves ? !s.sections[stubs_].made_up : field.symbol.known);
  if (leaves) {
    if (const int error = lead_out(s, field, value)) return error;
  } else {
    need_low_bits(s, field);
    value += local_entry(field.symbol.raw);
  }
  value -= field.address();
  if (value + 0x2000000 > 0x3ffffff || (value & 3) != 0)
    return s.refuse(ENOEXEC, "%s: REL24 %li out of range", fmt::format("{}: REL24 <...> out of range!", s.module_name));
  if (field.relocation.offset % kWord != 0)
    throw Unpredictable("an instruction is replaced that may reach over a page's end");
  const uint32_t word = word_at(field.target, field.relocation.offset);
  store<uint32_t>(field, (word & ~kDistance) | (static_cast<uint32_t>(value) & kDistance), known);
  return 0;
}

// module_finalize_ftrace first.
int Ppc64::process_tables(LoadState& s) {
  StateSection& stubs = s.sections[stubs_];
  for (const auto& [name, option] :
       {std::pair{"ftrace_caller", "DYNAMIC_FTRACE"}, std::pair{"ftrace_regs_caller", "DYNAMIC_FTRACE_WITH_REGS"}}) {
    const auto all = s.kernel.vmlinux().symbols_named(name);
    if (!s.kernel.config(option) || all.empty()) continue;
    stub_for(s, stubs, r2(s), {all.front()->value, true, name});
  }
  ppc64::process_tables(s, stubs);
  return 0;
}

std::string_view Ppc64::late_trouble(const LoadState& s, const StateSection& target,
                                     const RawRelocation& relocation) const {
  const std::string_view name = s.section_name(target);
  if (s.arch->is_replacement_code(name))
    return "is in code that is copied to its place at load, before it is relocated";
  if (is_read_at_load(name)) return "is in a table that is read at load, before it is relocated";
  if (name == ".data..ro_after_init") return "may be stored when the memory is write-protected";
  if (is_rewritten(target, relocation.offset))
    return "is in bytes that the kernel replaces at load, before they are relocated";
  return {};
}

/// The stub that a branch leads to, if it was made after the module's init had begun.
std::optional<uint64_t> Ppc64::late_stub(const LoadState& s, const StateSection& code, uint64_t offset) const {
  const StateSection& stubs = s.sections[stubs_];
  const int64_t distance = int64_t{static_cast<int32_t>((word_at(code, offset) & kDistance) << 6)} >> 6;
  const uint64_t stub = code.address + offset + static_cast<uint64_t>(distance);
  if (stub < late_stubs_ || stub >= stubs.address + stubs.memory.size()) return std::nullopt;
  return stub - stubs.address;
}

/// Calls `visit` for each call's relocation of the modules' klp sections; of `object` alone, unless that is empty.
template <typename Visit>
void for_each_call(const LoadState& s, const std::string& object, Visit visit) {
  for (const StateSection& section : s.sections) {
    if ((section.header.flags & elf::kShfRelaLivepatch) == 0 || section.header.size < kRelocationSize) continue;
    const auto owner = elf::klp_rela_object(s.section_name(section));
    if (!owner || (object.empty() ? *owner == "vmlinux" : *owner != object)) continue;
    const auto table = s.content(section);
    for (uint64_t i = 0; i < section.header.size / kRelocationSize; ++i) {
      const RawRelocation raw = raw_relocation(table, i);
      if (raw.type == R_PPC64_REL24) visit(section.header.info, raw.offset);
    }
  }
}

bool Ppc64::is_used(const LoadState& s, uint64_t stub) const {
  bool used = false;
  for_each_call(s, "",
                [&](uint32_t code, uint64_t offset) { used = used || late_stub(s, s.sections[code], offset) == stub; });
  return used;
}

void Ppc64::put_call_back(LoadState& s, StateSection& code, uint64_t offset) {
  const uint32_t word = word_at(code, offset);
  if ((word & kDistance) == 0) return;
  const auto stub = late_stub(s, code, offset);
  patch(code, offset, word & ~kDistance);
  if (word_at(code, offset + kWord) == kRestore) patch(code, offset + kWord, kNop);
  if (!stub || is_used(s, *stub)) return;
  patch(s.sections[stubs_], *stub + kStubTarget, 0);
  patch(s.sections[stubs_], *stub + kStubTarget + kWord, 0);
}

void Ppc64::put_back(LoadState& s, const std::string& object) {
  for_each_call(s, object, [&](uint32_t code, uint64_t offset) { put_call_back(s, s.sections[code], offset); });
}

}  // namespace

std::unique_ptr<Machine> machine() {
  return std::make_unique<Ppc64>();
}

}  // namespace klp::verify::ppc64
