// One source compiled in two directories gives objects that differ in DWARF alone. Section by section, in file order,
// is enough to see that: the compiler puts out the same sections in the same order.
//
// ElfObject reads 64-bit files only; vdso32, boot and real-mode code are compiled to 32-bit ones, so the two tables
// that are needed are read here for both classes.
#include "elf/same_content.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <vector>

#include "support/bytes.h"
#include "support/error.h"

namespace klp::elf {
namespace {

using Bytes = std::span<const std::byte>;

struct SectionView {
  std::string_view name;
  uint32_t type = 0;
  uint64_t flags = 0, address = 0, size = 0, link = 0, info = 0, align = 0, entry_size = 0;
  Bytes content;

  bool is_debug() const {
    return name.starts_with(".debug_") || name.starts_with(".rela.debug_") || name.starts_with(".rel.debug_");
  }
  bool same_header(const SectionView& o) const {
    return name == o.name && type == o.type && flags == o.flags && address == o.address && link == o.link &&
           info == o.info && align == o.align && entry_size == o.entry_size;
  }
};

struct FileView {
  uint64_t type = 0, machine = 0, flags = 0, elf_class = 0;
  std::vector<SectionView> sections;
};

template <typename T>
T record(Bytes bytes, uint64_t offset) {
  T value;
  std::memcpy(&value, slice(bytes, offset, sizeof(T)).data(), sizeof(T));
  return value;
}

template <typename Ehdr, typename Shdr>
FileView view(Bytes bytes) {
  const auto header = record<Ehdr>(bytes, 0);
  FileView file{header.e_type, header.e_machine, header.e_flags, header.e_ident[EI_CLASS], {}};
  if (header.e_shoff == 0) return file;
  // More sections than fit into 16 bits: the first header says how many (gABI, chapter 4).
  const auto first = record<Shdr>(bytes, header.e_shoff);
  const uint64_t count = header.e_shnum != 0 ? header.e_shnum : first.sh_size;
  const uint64_t names = header.e_shstrndx != SHN_XINDEX ? header.e_shstrndx : first.sh_link;
  check(count <= bytes.size() / sizeof(Shdr) && names < count, "the section table leaves the file");
  const auto content = [&](const Shdr& h) {
    return h.sh_type == SHT_NOBITS ? Bytes() : slice(bytes, h.sh_offset, h.sh_size);
  };
  const Bytes strings = content(record<Shdr>(bytes, header.e_shoff + names * sizeof(Shdr)));
  for (uint64_t i = 0; i < count; ++i) {
    const auto h = record<Shdr>(bytes, header.e_shoff + i * sizeof(Shdr));
    file.sections.push_back({i == 0 ? "" : read_c_string(strings, h.sh_name), h.sh_type, h.sh_flags, h.sh_addr,
                             h.sh_size, h.sh_link, h.sh_info, h.sh_addralign, h.sh_entsize,
                             i == 0 ? Bytes() : content(h)});
  }
  return file;
}

FileView view_of(Bytes bytes) {
  check(bytes.size() > EI_NIDENT && std::memcmp(bytes.data(), ELFMAG, SELFMAG) == 0 &&
            bytes[EI_DATA] == std::byte{ELFDATA2LSB},
        "no little-endian ELF file");
  if (bytes[EI_CLASS] == std::byte{ELFCLASS32}) return view<Elf32_Ehdr, Elf32_Shdr>(bytes);
  check(bytes[EI_CLASS] == std::byte{ELFCLASS64}, "an ELF file that is neither of 32 nor of 64 bits");
  return view<Elf64_Ehdr, Elf64_Shdr>(bytes);
}

}  // namespace

bool same_but_for_debug_info(Bytes a, Bytes b) {
  const FileView x = view_of(a), y = view_of(b);
  const auto same = [](const SectionView& s, const SectionView& t) {
    return s.same_header(t) && (s.is_debug() || (s.size == t.size && std::ranges::equal(s.content, t.content)));
  };
  return x.elf_class == y.elf_class && x.type == y.type && x.machine == y.machine && x.flags == y.flags &&
         std::ranges::equal(x.sections, y.sections, same);
}

}  // namespace klp::elf
