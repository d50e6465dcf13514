// One range at a time: the bytes outside relocated fields and outside what the kernel rewrites at load must be the
// object's; each field's target is computed from memory. Read-only data that a field leads to is compared in the same
// way.
#include "read_back.h"

#include <algorithm>
#include <cstring>

#include "diff/correlation.h"
#include "diff/pieces.h"
#include "guest_view.h"
#include "read_back_power.h"
#include "support/bytes.h"
#include "support/error.h"

namespace klp::test {
namespace {

using diff::Piece;
using diff::PieceKind;
using diff::Reference;

/// "n" of "n.12"; empty when the name has no number.
std::string_view base_name(std::string_view name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || dot + 1 == name.size()) return {};
  return name.find_first_not_of("0123456789", dot + 1) == std::string_view::npos ? name.substr(0, dot)
                                                                                 : std::string_view();
}

/// Where a reference may lead: any of the addresses.
struct Expected {
  std::vector<uint64_t> addresses;
  std::string what;
};

class Reader {
 public:
  Reader(GuestView& guest, const std::string& module, const elf::SymbolIndex& vmlinux, const diff::TableSizes& sizes,
         const ReadBackUnit& unit, ReadBackResult& result)
      : guest_(guest),
        module_(module),
        vmlinux_(vmlinux),
        unit_(unit),
        disassembler_(unit.patched->machine()),
        pieces_(*unit.patched, disassembler_),
        tables_(pieces_, sizes),
        carried_(guest.module_symbols(module)),
        result_(result) {
    choose_block();
    if (pieces_.arch().name() == "ppc64le") power_.emplace(guest_, module_, vmlinux_, pieces_);
  }

  void run() {
    for (const std::string& name : unit_.functions) {
      const std::vector<const Piece*> pieces = pieces_.named(name);
      check(pieces.size() == 1, "{}: {} functions {}", unit_.patched->name(), pieces.size(), name);
      const Piece* piece = pieces.front();
      const auto found = carried_.find(name);
      check(found != carried_.end(), "module {} has no symbol {} in the guest", module_, name);
      check(found->second.size() == 1, "module {} has {} symbols {} in the guest", module_, found->second.size(), name);
      ++result_.functions;
      check_front(*piece, found->second.front());
      compare(*piece, found->second.front());
    }
  }

 private:
  void choose_block();
  std::vector<bool> rewritten_at_load(const Piece& piece) const;
  void mask_rewritten_calls(const Piece& piece, std::vector<bool>& mask) const;
  uint64_t behind_call_count(uint64_t address);
  void check_front(const Piece& piece, uint64_t address);
  void compare(const Piece& piece, uint64_t address);
  void mask_power_sites(const LoadedCode& code, std::vector<bool>& mask);
  void compare_relocations(const LoadedCode& code, std::vector<bool>& mask);
  void compare_bytes(const Piece& piece, std::span<const std::byte> memory, const std::vector<bool>& mask);
  std::optional<uint64_t> target_in_memory(const LoadedCode& code, const elf::Relocation& relocation,
                                           const Reference& reference, std::vector<bool>& mask);
  void compare_reference(const Reference& reference, const std::string& place, uint64_t target);
  void compare_constants(const Piece& piece, const std::vector<std::byte>& memory);
  void compare_content(const Piece& target, const std::string& place, uint64_t address);
  void compare_string(const Reference& reference, const std::string& place, uint64_t address);
  Expected expected(const Reference& reference);
  Expected existing(std::string_view name, bool local);
  Expected existing_global(std::string_view name);
  uint64_t address_of(const elf::Symbol& symbol, const elf::SymbolIndex& index);
  void differs(std::string text) { result_.differences.push_back(std::move(text)); }

  GuestView& guest_;
  const std::string& module_;
  const elf::SymbolIndex& vmlinux_;
  const ReadBackUnit& unit_;
  elf::Disassembler disassembler_;
  diff::Pieces pieces_;
  diff::Tables tables_;
  const GuestSymbols& carried_;
  ReadBackResult& result_;
  std::optional<PowerCode> power_;
  const elf::FileBlock* block_ = nullptr;
  std::set<std::pair<const Piece*, uint64_t>> seen_;
};

/// Several units may have one file name: the block that has most of this unit's local functions is ours.
void Reader::choose_block() {
  size_t best = 0;
  std::string_view file;
  for (const elf::Symbol& symbol : unit_.patched->symbols()) {
    if (symbol.is_local() && !symbol.file.empty()) file = symbol.file;
  }
  for (const elf::FileBlock* block : unit_.shipped->blocks_of(file)) {
    size_t score = 1;
    for (const elf::Symbol& symbol : unit_.patched->symbols()) {
      if (symbol.is_local() && symbol.is_function() && block->locals.contains(symbol.name)) ++score;
    }
    if (score > best) block_ = block;
    best = std::max(best, score);
  }
}

/// The bytes of alternatives, paravirt calls, static branches and calls, retpolines, returns, lock prefixes and the
/// ftrace site.
std::vector<bool> Reader::rewritten_at_load(const Piece& piece) const {
  std::vector<bool> mask(piece.size, false);
  if (piece.kind != PieceKind::function || power_) return mask;
  if (piece.section->name == ".static_call.text") mask.assign(piece.size, true);  // a trampoline follows its key
  for (const diff::TableEntry& entry : tables_.of(&piece)) {
    const std::string_view table = entry.spec->section;
    // What build tools read (.discard.*) names places that the kernel never hears of.
    const bool no_site =
        table == "__ex_table" || table == "__bug_table" || table == ".call_sites" || entry.spec->for_build_tools;
    if (no_site || entry.owner_offset < 0 || static_cast<uint64_t>(entry.owner_offset) >= piece.size) continue;
    const uint64_t start = static_cast<uint64_t>(entry.owner_offset);
    uint64_t length = 5;  // a call: __mcount_loc, .return_sites
    if (table == ".smp_locks") length = 1;
    if (entry.spec->constant_size != 0) length = entry.spec->constant_size;
    const bool whole_instruction =
        table == "__jump_table" || table == ".static_call_sites" || table == ".retpoline_sites";
    for (const elf::Instruction& i : pieces_.code(piece)) {
      if (whole_instruction && i.offset == start) length = i.size;
    }
    if (entry.layout->site_length)
      length = static_cast<uint8_t>(entry.section->data[entry.offset + *entry.layout->site_length]);
    for (uint64_t at = start; at < std::min(start + length, piece.size); ++at) mask[at] = true;
  }
  return mask;
}

/// Calls and jumps that objtool lists by the name they lead to, as the kernel then rewrites them: in the units of a
/// kernel whose objtool looks at the linked module they are in no table.
bool is_rewritten_call(const Reference& reference) {
  if (!reference.branch) return false;
  const bool external = reference.kind == Reference::Kind::external;
  if (!external && (reference.kind != Reference::Kind::piece || reference.piece->symbol == nullptr)) return false;
  const std::string_view target = external ? reference.symbol->name : reference.piece->name();
  return target.starts_with("__x86_return_thunk") || target.starts_with("__x86_indirect_thunk_") ||
         target.starts_with("__SCT__");
}

void Reader::mask_rewritten_calls(const Piece& piece, std::vector<bool>& mask) const {
  if (piece.kind != PieceKind::function) return;
  for (const elf::Relocation& relocation : pieces_.relocations(piece)) {
    if (!is_rewritten_call(pieces_.resolve(relocation))) continue;
    const uint64_t field = relocation.offset - piece.offset;
    for (const elf::Instruction& i : pieces_.code(piece)) {
      if (i.offset > field || i.offset + i.size <= field) continue;
      for (uint64_t at = i.offset; at < i.offset + i.size; ++at) mask[at] = true;
    }
  }
}

/// What the kernel has put at the sites of POWER's tables.
void Reader::mask_power_sites(const LoadedCode& code, std::vector<bool>& mask) {
  constexpr uint64_t kWord = 4;
  for (const auto& [at, wanted] : power_->sites(code, tables_.of(&code.piece))) {
    for (uint64_t i = at; i < std::min(at + kWord, code.piece.size); ++i) mask[i] = true;
    const auto found = read_le<uint32_t>(code.memory, at);
    if (wanted && found != *wanted)
      differs(fmt::format("{}+{:#x}: the instruction in memory is {:08x}, the kernel makes it {:08x}",
                          code.piece.name(), at, found, *wanted));
  }
}

void Reader::compare(const Piece& piece, uint64_t address) {
  if (!seen_.emplace(&piece, address).second) return;
  const std::vector<std::byte> memory = guest_.memory(address, piece.size);
  const LoadedCode code{piece, address, memory};
  std::vector<bool> mask = rewritten_at_load(piece);
  mask_rewritten_calls(piece, mask);
  if (power_) mask_power_sites(code, mask);
  if (piece.kind == PieceKind::function) compare_constants(piece, memory);
  compare_relocations(code, mask);
  compare_bytes(piece, memory, mask);
}

void Reader::compare_relocations(const LoadedCode& code, std::vector<bool>& mask) {
  for (const elf::Relocation& relocation : pieces_.relocations(code.piece)) {
    const uint64_t field = relocation.offset - code.piece.offset;
    const arch::FieldKind kind = pieces_.arch().field_kind(relocation);
    if ((kind.width == 0 && !power_) || mask[field]) continue;
    const Reference reference = pieces_.resolve(relocation);
    const auto target = target_in_memory(code, relocation, reference, mask);
    if (target) compare_reference(reference, fmt::format("{}+{:#x}", code.piece.name(), field), *target);
    if (kind.mask != ~0ULL) continue;
    for (uint64_t i = field; i < std::min<uint64_t>(field + kind.width, code.piece.size); ++i) mask[i] = true;
  }
}

/// All but the fields and what `mask` says.
void Reader::compare_bytes(const Piece& piece, std::span<const std::byte> memory, const std::vector<bool>& mask) {
  std::vector<std::byte> found(memory.begin(), memory.end()), compiled(piece.size);
  const auto data = piece.data();
  std::copy(data.begin(), data.end(), compiled.begin());
  for (const elf::Relocation& relocation : pieces_.relocations(piece)) {
    const arch::FieldKind kind = pieces_.arch().field_kind(relocation);
    const uint64_t field = relocation.offset - piece.offset;
    if (kind.mask == ~0ULL || field + kind.width > piece.size) continue;  // masked
    arch::clear_field(kind, std::span(found).subspan(field, kind.width));
    arch::clear_field(kind, std::span(compiled).subspan(field, kind.width));
  }
  for (uint64_t i = 0; i < piece.size; ++i) {
    if (mask[i]) continue;
    ++result_.bytes;
    if (found[i] == compiled[i]) continue;
    differs(fmt::format("{}+{:#x}: the byte in memory is {:02x}, the object has {:02x}", piece.name(), i,
                        static_cast<unsigned>(memory[i]), static_cast<unsigned>(compiled[i])));
    return;
  }
}

/// What is in front of a function: on POWER a distance; on x86 bytes that objtool names at the link, when they are NOPs
/// all and reach far enough.
void Reader::check_front(const Piece& piece, uint64_t address) {
  if (power_) {
    const std::string fault = power_->fault_of_prefix(piece, address);
    if (!fault.empty()) differs(fault);
    return;
  }
  const uint64_t padding = pieces_.padding(piece);
  if (padding == 0) return;
  const auto found = carried_.find("__pfx_" + std::string(piece.name()));
  if (found == carried_.end() || found->second != std::vector<uint64_t>{address - padding})
    differs(fmt::format("{}: no __pfx_ symbol {} bytes in front of it", piece.name(), padding));
}

/// Where a direct call leads in the end: a kernel with call-depth tracking puts `sarq $5,pcpu_hot+...(%rip)`, with a
/// %gs prefix, in front of a function and has direct calls begin there (arch/x86/kernel/callthunks.c, 6.2 and later).
uint64_t Reader::behind_call_count(uint64_t address) {
  const std::vector<std::byte> code = guest_.memory(address, kCallCountSize);
  return counts_call(code) ? address + kCallCountSize : address;
}

/// Run-time constants (include/asm/runtime-const.h) must have the value that the running kernel's variable has now.
void Reader::compare_constants(const Piece& piece, const std::vector<std::byte>& memory) {
  for (const diff::TableEntry& entry : tables_.of(&piece)) {
    const uint8_t size = entry.spec->constant_size;
    if (size == 0) continue;
    const std::string_view name = entry.section->name.substr(entry.spec->section.size());
    const auto own = pieces_.named(name);
    const Expected variable = existing(name, !own.empty() && own.front()->symbol->is_local());
    const auto at = static_cast<size_t>(entry.owner_offset);
    check(variable.addresses.size() == 1, "{}: {} at {} places", piece.name(), variable.what,
          variable.addresses.size());
    const auto value = guest_.memory(variable.addresses.front(), size);
    uint64_t wanted = 0, found = 0;
    std::memcpy(&wanted, value.data(), size);
    std::memcpy(&found, memory.data() + at, size);
    ++result_.constants;
    if (wanted != found)
      differs(fmt::format("{}+{:#x}: the constant in memory is {:#x}, {} has {:#x}", piece.name(), at, found,
                          variable.what, wanted));
  }
}

/// Where a field leads in memory; nothing when others decide it.
std::optional<uint64_t> Reader::target_in_memory(const LoadedCode& code, const elf::Relocation& relocation,
                                                 const Reference& reference, std::vector<bool>& mask) {
  const uint64_t at = relocation.offset - code.piece.offset;
  if (power_) {
    const PowerTarget found = power_->target(code, relocation, reference);
    if (!found.fault.empty()) differs(fmt::format("{}+{:#x}: {}", code.piece.name(), at, found.fault));
    if (found.written)
      std::fill(mask.begin() + static_cast<std::ptrdiff_t>(found.written->first),
                mask.begin() + static_cast<std::ptrdiff_t>(found.written->second), true);
    if (!found.address && found.written) ++result_.references;  // compared with what the kernel makes of it
    return found.address;
  }
  const arch::FieldKind field = pieces_.arch().field_kind(relocation);
  uint64_t value = 0;
  std::memcpy(&value, code.memory.data() + at, field.width);
  if (field.width == 4 && field.is_signed)
    value = static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(value)));
  return field.pc_relative ? value + code.address + at + static_cast<uint64_t>(reference.bias) : value;
}

void Reader::compare_reference(const Reference& reference, const std::string& place, uint64_t target) {
  ++result_.references;
  if (reference.kind == Reference::Kind::string) return compare_string(reference, place, target);
  uint64_t start = target - static_cast<uint64_t>(reference.offset);
  const bool nameless = reference.kind == Reference::Kind::piece && reference.piece->symbol == nullptr;
  if (nameless) return compare_content(*reference.piece, place, start);

  const Expected wanted = expected(reference);
  if (reference.branch && !power_) start = behind_call_count(start);
  if (std::find(wanted.addresses.begin(), wanted.addresses.end(), start) == wanted.addresses.end()) {
    const uint64_t first = wanted.addresses.empty() ? 0 : wanted.addresses.front();
    differs(fmt::format("{}: leads to {:#x} (offset {}), but {} is at {:#x}", place, start, reference.offset,
                        wanted.what, first));
  } else if (reference.kind == Reference::Kind::piece && reference.piece->kind == PieceKind::object) {
    if (carried_.contains(reference.piece->name())) compare_content(*reference.piece, place, start);
  }
}

/// Data that the module carries. What can be written may have changed since the load.
void Reader::compare_content(const Piece& target, const std::string& place, uint64_t address) {
  const bool constant = target.kind == PieceKind::constant || pieces_.is_constant(*target.section);
  if (!constant || (target.symbol != nullptr && target.section->is_writable())) {
    if (target.symbol == nullptr)
      differs(fmt::format("{}: refers to writable data without a name in {}", place, target.section->name));
    return;
  }
  const size_t before = result_.differences.size();
  compare(target, address);
  for (size_t i = before; i < result_.differences.size(); ++i)
    result_.differences[i] = place + ": " + result_.differences[i];
}

void Reader::compare_string(const Reference& reference, const std::string& place, uint64_t address) {
  const uint64_t width = std::max<uint64_t>(reference.string_section->entsize, 1);
  address -= static_cast<uint64_t>(reference.offset);
  const std::vector<std::byte> memory = guest_.memory(address, reference.string.size() + width);
  std::string wanted(reference.string);
  wanted.append(width, '\0');
  const std::string found(reinterpret_cast<const char*>(memory.data()), memory.size());
  result_.bytes += found.size();
  if (found != wanted)
    differs(
        fmt::format("{}: the string in memory is \"{}\", the object has \"{}\"", place, found.c_str(), wanted.c_str()));
}

Expected Reader::expected(const Reference& reference) {
  const bool external = reference.kind == Reference::Kind::external;
  const elf::Symbol& symbol = external ? *reference.symbol : *reference.piece->symbol;
  // Code for a module means that module, although the livepatch has such a variable, too (THIS_MODULE).
  if (symbol.name == "__this_module" && unit_.object != "vmlinux")
    return {guest_.module_symbols(unit_.object).at("__this_module"), "__this_module of " + unit_.object};
  const auto own = carried_.find(symbol.name);
  const bool start_of_replaced =
      !external && reference.offset == 0 && unit_.replaced.contains(std::string(symbol.name));
  // What is replaced is still known to the kernel by its old address; ftrace leads on from there.
  if (start_of_replaced) {
    Expected wanted = existing(symbol.name, symbol.is_local());
    if (reference.branch && own != carried_.end())
      wanted.addresses.insert(wanted.addresses.end(), own->second.begin(), own->second.end());
    return wanted;
  }
  if (own != carried_.end()) return {own->second, fmt::format("{} of {}", symbol.name, module_)};
  return external ? existing_global(symbol.name) : existing(symbol.name, symbol.is_local());
}

/// A symbol that was there before the patch. Of numbered statics only the base name counts: which is which, behaviour
/// decides.
Expected Reader::existing(std::string_view name, bool local) {
  if (!local) return existing_global(name);
  Expected result{{},
                  fmt::format("{} of {} ({})", name, unit_.object, block_ == nullptr ? "no such file" : block_->file)};
  if (block_ == nullptr) return result;
  const std::string_view base = base_name(name);
  for (const auto& [other, symbols] : block_->locals) {
    const bool same = other == name || (!base.empty() && base == base_name(other));
    for (const elf::Symbol* symbol : symbols) {
      const bool numbered_code = symbol->is_function() && other != name;
      if (same && !numbered_code) result.addresses.push_back(address_of(*symbol, *unit_.shipped));
    }
  }
  return result;
}

Expected Reader::existing_global(std::string_view name) {
  const std::string what = fmt::format("global {}", name);
  if (const elf::Symbol* symbol = unit_.shipped->maybe_global(name); symbol != nullptr && symbol->is_defined()) {
    return {{address_of(*symbol, *unit_.shipped)}, what + " of " + unit_.object};
  }
  if (const elf::Symbol* symbol = vmlinux_.maybe_global(name))
    return {{address_of(*symbol, vmlinux_)}, what + " of vmlinux"};
  return {guest_.in_any_module(std::string(name)), what + " of another module"};
}

uint64_t Reader::address_of(const elf::Symbol& symbol, const elf::SymbolIndex& index) {
  constexpr uint16_t relocatable = 1;  // ET_REL: a module
  if (index.object().type() != relocatable || !symbol.is_defined()) return symbol.value;
  // Variables of each processor are not where their section was loaded, and sysfs does not tell where they are.
  if (symbol.section->name == ".data..percpu") {
    const GuestSymbols& symbols = guest_.module_symbols(unit_.object);
    const auto found = symbols.find(symbol.name);
    check(found != symbols.end() && found->second.size() == 1, "the guest has no address of {}", symbol.name);
    return found->second.front();
  }
  return guest_.section(unit_.object, std::string(symbol.section->name)) + symbol.value;
}

}  // namespace

bool counts_call(std::span<const std::byte> code) {
  constexpr std::byte kShift[] = {std::byte{0x65}, std::byte{0x48}, std::byte{0xc1}, std::byte{0x3d}};
  return code.size() >= kCallCountSize && std::equal(std::begin(kShift), std::end(kShift), code.begin()) &&
         code[kCallCountSize - 1] == std::byte{5};
}

ReadBackResult read_back(vm::Vm& vm, const std::string& module, const elf::SymbolIndex& vmlinux,
                         const diff::TableSizes& sizes, const std::vector<ReadBackUnit>& units) {
  GuestView guest(vm);
  const elf::Symbol* text = vmlinux.maybe_global("_text");
  check(text != nullptr, "{}: no _text", vmlinux.object().name());
  const uint64_t start = guest.text_start();
  check(start == text->value, "the guest's _text is at {:#x}, the file's at {:#x}: boot with nokaslr", start,
        text->value);
  ReadBackResult result;
  for (const ReadBackUnit& unit : units) Reader(guest, module, vmlinux, sizes, unit, result).run();
  return result;
}

}  // namespace klp::test
