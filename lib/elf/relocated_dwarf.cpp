#include "elf/relocated_dwarf.h"

#include <elf.h>
#include <elfutils/libdw.h>
#include <libelf.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>

#include "support/error.h"

namespace klp::elf {
namespace {

unsigned absolute_width(uint16_t machine, uint32_t type) {
  if (machine == EM_X86_64) return type == R_X86_64_64 ? 8 : type == R_X86_64_32 ? 4 : 0;
  if (machine == EM_PPC64) return type == R_PPC64_ADDR64 ? 8 : type == R_PPC64_ADDR32 ? 4 : 0;
  return 0;
}

struct Free {
  void operator()(char* memory) const { std::free(memory); }
};
using Copy = std::unique_ptr<char, Free>;

/// Whether anything of lib/elf asks libdw for what is in it.
bool is_wanted(const Section& section) {
  constexpr std::string_view kUnwanted[] = {".debug_loclists", ".debug_loc",     ".debug_rnglists",
                                            ".debug_ranges",   ".debug_aranges", ".debug_frame"};
  return section.name.starts_with(".debug_") && section.has_data() &&
         std::find(std::begin(kUnwanted), std::end(kUnwanted), section.name) == std::end(kUnwanted);
}

/// The file with only its headers, section names and wanted sections in place, those relocated. The rest stays zero,
/// which costs no memory: half of an object are the relocations themselves.
Copy relocated_copy(const ElfObject& object) {
  const auto bytes = object.bytes();
  Copy copy(static_cast<char*>(std::calloc(bytes.size(), 1)));
  check(copy != nullptr, "no memory for a copy of {} bytes", bytes.size());
  const auto fill = [&](size_t start, size_t size) { std::memcpy(copy.get() + start, bytes.data() + start, size); };
  Elf64_Ehdr header;
  std::memcpy(&header, bytes.data(), sizeof(header));
  fill(0, sizeof(header));
  fill(header.e_shoff, object.sections().size() * sizeof(Elf64_Shdr));
  const size_t names = header.e_shstrndx == SHN_XINDEX ? object.sections()[0].link : header.e_shstrndx;
  for (const Section& section : object.sections()) {
    if (section.data.empty() || (section.index != names && !is_wanted(section))) continue;
    const size_t start = static_cast<size_t>(section.data.data() - bytes.data());
    fill(start, section.data.size());
    for (const Relocation& r : section.relocations) {
      const unsigned width = absolute_width(object.machine(), r.type);
      if (width == 0 || r.offset + width > section.data.size()) continue;
      uint64_t value = r.symbol->value + static_cast<uint64_t>(r.addend);
      if (width == 8 && r.symbol->is_defined())
        value += static_cast<uint64_t>(r.symbol->section->index) << kSectionShift;
      std::memcpy(copy.get() + start + r.offset, &value, width);
    }
  }
  return copy;
}

/// Ends each line program behind its header: libdw decodes all rows before it tells the name of a file.
void drop_rows(char* section, size_t size) {
  const auto read = [&](size_t at) {
    uint32_t value = 0;
    std::memcpy(&value, section + at, sizeof(value));
    return value;
  };
  for (size_t at = 0; at + 12 <= size;) {  // length, version, address and segment sizes of version 5, header length
    const uint32_t length = read(at);
    if (length > size - at - 4) return;  // also the 64-bit format, which compilers do not use
    const uint16_t version = static_cast<uint16_t>(read(at + 4) & 0xffff);
    const size_t header = at + (version >= 5 ? 8 : 6);
    const uint64_t kept = header + 4 - (at + 4) + static_cast<uint64_t>(read(header));
    if (version < 2 || version > 5 || kept > length) return;
    const auto shorter = static_cast<uint32_t>(kept);
    std::memcpy(section + at, &shorter, sizeof(shorter));
    at += 4 + static_cast<size_t>(length);
  }
}

/// libdw would unpack compressed sections, to whatever size they claim.
bool is_compressed(const Section& section) {
  return section.name.starts_with(".zdebug_") ||
         (section.name.starts_with(".debug_") && (section.flags & SHF_COMPRESSED) != 0);
}

}  // namespace

struct RelocatedDwarf::State {
  struct ElfEnd {
    void operator()(Elf* elf) const { elf_end(elf); }
  };
  struct DwarfEnd {
    void operator()(Dwarf* dwarf) const { dwarf_end(dwarf); }
  };
  Copy copy;
  std::unique_ptr<Elf, ElfEnd> elf;
  std::unique_ptr<Dwarf, DwarfEnd> dwarf;
};

RelocatedDwarf::RelocatedDwarf(const ElfObject& object, Rows rows) : state_(std::make_unique<State>()) {
  if (object.maybe_section(".debug_info") == nullptr) return;
  if (std::any_of(object.sections().begin(), object.sections().end(), is_compressed)) return;
  state_->copy = relocated_copy(object);
  elf_version(EV_CURRENT);
  const Section* lines = object.maybe_section(".debug_line");
  if (rows == Rows::dropped && lines != nullptr && !lines->data.empty())
    drop_rows(state_->copy.get() + (lines->data.data() - object.bytes().data()), lines->data.size());
  state_->elf.reset(elf_memory(state_->copy.get(), object.bytes().size()));
  check(state_->elf != nullptr, "{}: {}", object.name(), elf_errmsg(-1));
  state_->dwarf.reset(dwarf_begin_elf(state_->elf.get(), DWARF_C_READ, nullptr));
}

RelocatedDwarf::~RelocatedDwarf() = default;

Dwarf* RelocatedDwarf::get() const {
  return state_->dwarf.get();
}

}  // namespace klp::elf
