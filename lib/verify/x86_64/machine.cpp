// arch/x86/kernel/module.c: apply_relocate_add, clear_relocate_add, Linux 5.10-7.2.
#include <elf.h>

#include <algorithm>
#include <cstring>

#include "elf/klp_abi.h"
#include "verify/load_state.h"
#include "verify/x86_64/tables.h"

namespace klp::verify::x86_64 {
namespace {

/// What is written for a relocation.
struct Write {
  const Field& field;
  arch::FieldKind kind;
  uint64_t value = 0;

  std::span<std::byte> bytes() const {
    return std::span(field.target.memory).subspan(field.relocation.offset, kind.width);
  }
  bool is_zero() const {
    const auto all = bytes();
    return std::all_of(all.begin(), all.end(), [](std::byte b) { return b == std::byte{0}; });
  }
  bool overflows() const {
    if (kind.width != 4 || kind.pc_relative) return false;
    const auto low = static_cast<uint32_t>(value);
    const uint64_t extended =
        kind.is_signed ? static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(low))) : low;
    return value != extended;
  }
  bool known() const { return field.symbol.known; }
  void mark(bool unknown) const { mark_unknown(field.target, field.relocation.offset, kind.width, unknown); }
};

int refuse_nonzero(LoadState& s, const Write& write, bool clear) {
  const bool names_place = s.kernel.has_text("existing value is nonzero for sec");  // 7.2
  const auto text = [&](std::string_view what) {
    return fmt::format("x86/modules: {} for {}type {}, loc <...>, val <...>", what,
                       names_place ? "sec <...>, idx <...>, " : "", write.field.relocation.type);
  };
  if (clear)
    return s.refuse(ENOEXEC, "existing value does not match expected value",
                    text("Invalid relocation target, existing value does not match expected value"));
  return s.refuse(ENOEXEC, "existing value is nonzero",
                  text(s.rules().looks_before_overflow ? "Skipping invalid relocation target, existing value is nonzero"
                                                       : "Invalid relocation target, existing value is nonzero"));
}

int refuse_overflow(LoadState& s, const Write& write) {
  s.say("overflow in relocation type",
        fmt::format("overflow in relocation type {} val <...>", write.field.relocation.type));
  s.say("' likely not compiled with -mcmodel=kernel",
        fmt::format("`{}' likely not compiled with -mcmodel=kernel", s.module_name));
  return ENOEXEC;
}

/// A relative field that does not reach is cut short without a word.
void check_reach(LoadState& s, const Write& write) {
  if (write.kind.width != 4 || !write.kind.pc_relative || !write.known()) return;
  const auto whole = static_cast<int64_t>(write.value);
  if (whole == static_cast<int32_t>(whole)) return;
  s.fault(fmt::format("{}+{:#x}: the distance does not fit the relocation, and the kernel does not look",
                      s.section_name(write.field.target), write.field.relocation.offset));
}

int clear_field(LoadState& s, const Write& write) {
  const auto bytes = write.bytes();
  const bool same = !write.known() || std::memcmp(bytes.data(), &write.value, bytes.size()) == 0;
  if (!same) return refuse_nonzero(s, write, true);
  std::fill(bytes.begin(), bytes.end(), std::byte{0});
  write.mark(false);
  return 0;
}

int write_field(LoadState& s, const Write& write) {
  const auto bytes = write.bytes();
  const bool filled = s.rules().wants_zero_fields && !write.is_zero();
  if (s.rules().looks_before_overflow && filled) return refuse_nonzero(s, write, false);
  if (write.overflows()) return refuse_overflow(s, write);
  if (filled) return refuse_nonzero(s, write, false);
  check_reach(s, write);
  std::memcpy(bytes.data(), &write.value, bytes.size());
  // What is not known is not zero either: it must not be written a second time.
  if (!write.known()) std::fill(bytes.begin(), bytes.end(), std::byte{0xff});
  write.mark(!write.known());
  return 0;
}

/// Zeroes the fields of a relocation section, whatever they hold.
void zero_fields(LoadState& s, const StateSection& relas) {
  StateSection& target = s.sections[relas.header.info];
  const auto table = s.content(relas);
  for (uint64_t i = 0; i < relas.header.size / kRelocationSize; ++i) {
    const RawRelocation raw = raw_relocation(table, i);
    const uint64_t width = s.machine->width(raw.type).value_or(0);
    std::fill_n(target.memory.begin() + static_cast<ptrdiff_t>(raw.offset), width, std::byte{0});
    mark_unknown(target, raw.offset, width, false);
  }
}

class X86 : public Machine {
 public:
  // Documentation/arch/x86/x86_64/mm.rst.
  uint64_t module_area() const override { return 0xffffffffc0000000; }
  uint64_t file_copy() const override { return 0xffffc90000000000; }

  std::optional<uint64_t> width(uint32_t type) const override {
    const arch::Arch& arch = arch::arch_for(EM_X86_64);
    RawRelocation raw;
    raw.type = type;
    if (arch.loader_accepts(type)) return field_kind(arch, raw).width;
    try {
      // Types of which nothing is written need not be known.
      if (field_kind(arch, raw).width == 0) return 0;
    } catch (const Error&) {
      return std::nullopt;
    }
    return std::nullopt;
  }

  int refuse_type(LoadState& s, uint32_t type) const override {
    return s.refuse(ENOEXEC, "%s: Unknown rela relocation",
                    fmt::format("{}: Unknown rela relocation: {}", s.module_name, type));
  }

  int write(LoadState& s, const Field& field, bool clear) override {
    Write write{field, field_kind(*s.arch, field.relocation), field.value()};
    if (write.kind.pc_relative) write.value -= field.address();
    return clear ? clear_field(s, write) : write_field(s, write);
  }

  int process_tables(LoadState& s) override {
    x86_64::process_tables(s);
    return 0;
  }

  std::string_view late_trouble(const LoadState& s, const StateSection& target,
                                const RawRelocation& relocation) const override {
    const std::string_view name = s.section_name(target);
    if (name == ".altinstr_replacement")
      return "is in code that is copied to its place at load, before it is relocated";
    if (is_read_at_load(name)) return "is in a table that is read at load, before it is relocated";
    if (is_rewritten(target, relocation.offset))
      return "is in bytes that the kernel replaces at load, before they are relocated";
    return {};
  }

  void put_back(LoadState& s, const std::string& object) override {
    for (const StateSection& section : s.sections) {
      if ((section.header.flags & elf::kShfRelaLivepatch) == 0 || section.header.size < kRelocationSize) continue;
      if (elf::klp_rela_object(s.section_name(section)) == object) zero_fields(s, section);
    }
  }
};

}  // namespace

std::unique_ptr<Machine> machine() {
  return std::make_unique<X86>();
}

}  // namespace klp::verify::x86_64
