// Writing an ObjectBuilder as an ELF file, by hand: a relocatable object is a header, sections and a table of their
// headers, and a writer of one page decides every byte, so that the same input gives the same file.
//
// Order of work: section indices first (relocation and group sections name others by index), then symbol indices
// (relocations need them), then contents, then file offsets. File: header, sections in order, .symtab, .strtab,
// .shstrtab, section headers.
#include <elf.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>
#include <unordered_map>

#include "elf/object_builder.h"
#include "support/error.h"
#include "support/files.h"

namespace klp::elf {
namespace {

/// A livepatch module has a few pages of it. Alignment is a number in the input and decides on the file's size.
constexpr uint64_t kMaxPadding = 64U << 20;

/// A string table that holds each string once.
class StringTable {
 public:
  uint32_t add(std::string_view text) {
    if (text.empty()) return 0;
    const auto [entry, is_new] = offsets_.try_emplace(std::string(text), content_.size());
    if (is_new) {
      check(content_.size() + text.size() < UINT32_MAX, "more than 4 GiB of names");
      content_.append(text).push_back('\0');
    }
    return static_cast<uint32_t>(entry->second);
  }
  const std::string& content() const { return content_; }

 private:
  std::string content_ = std::string(1, '\0');
  std::unordered_map<std::string, size_t> offsets_;
};

template <typename T>
void append(std::vector<std::byte>& to, const T& record) {
  const auto* bytes = reinterpret_cast<const std::byte*>(&record);
  to.insert(to.end(), bytes, bytes + sizeof(T));
}

std::vector<std::byte> to_bytes(const std::string& text) {
  const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
  return {bytes, bytes + text.size()};
}

/// A section as it will be in the file.
struct OutSection {
  Elf64_Shdr header{};
  std::string_view name;
  std::vector<std::byte> content;                  ///< of tables made here
  const std::vector<std::byte>* copied = nullptr;  ///< of builder sections
  const std::vector<std::byte>& data() const { return copied != nullptr ? *copied : content; }
};

class Writer {
 public:
  Writer(uint16_t machine, uint32_t flags, const std::list<BuilderSection>& sections,
         const std::list<BuilderSymbol>& symbols)
      : machine_(machine), flags_(flags), sections_(sections), symbols_(symbols) {}

  std::vector<std::byte> write() {
    number_sections();
    number_symbols();
    for (const BuilderSection& section : sections_) {
      with_context(fmt::format("section {}", section.name), [&] { put_section(section); });
    }
    put_tables();
    return lay_out();
  }

 private:
  void number_sections() {
    uint64_t next = 1;
    for (const BuilderSection& section : sections_) {
      section_index_[&section] = static_cast<uint32_t>(next);
      next += 1 + section.relas.size();
    }
    symtab_index_ = static_cast<uint32_t>(next);
    // .symtab, .strtab, .shstrtab follow. Indices from SHN_LORESERVE on have other meanings, and the kernel reads no
    // extended ones.
    check(next + 3 < SHN_LORESERVE, "{} sections, but an object holds fewer than {}", next + 3,
          static_cast<int>(SHN_LORESERVE));
  }

  void number_symbols() {
    uint64_t next = 1;
    for (const bool locals : {true, false}) {
      for (const BuilderSymbol& symbol : symbols_) {
        if ((symbol.bind == kStbLocal) == locals) symbol_index_[&symbol] = next++;
      }
      if (locals) first_global_ = static_cast<uint32_t>(next);
    }
    check(next < UINT32_MAX, "too many symbols");
  }

  uint32_t index_of(const BuilderSection* section) const {
    const auto found = section_index_.find(section);
    check(found != section_index_.end(), "refers to a section that is not in this object");
    return found->second;
  }

  uint64_t index_of(const BuilderSymbol* symbol) const {
    if (symbol == nullptr) return 0;
    const auto found = symbol_index_.find(symbol);
    check(found != symbol_index_.end(), "refers to a symbol that is not in this object");
    return found->second;
  }

  OutSection& put(std::string_view name, uint32_t type, uint64_t flags, uint64_t align, uint64_t entsize) {
    OutSection& out = out_.emplace_back();
    out.name = name;
    out.header.sh_name = section_names_.add(name);
    out.header.sh_type = type;
    out.header.sh_flags = flags;
    out.header.sh_addralign = align;
    out.header.sh_entsize = entsize;
    return out;
  }

  void put_section(const BuilderSection& section) {
    check(section.addralign <= 1 || std::has_single_bit(section.addralign), "alignment {} is no power of two",
          section.addralign);
    check(section.type != SHT_NOBITS || section.data.empty(), "holds data, but its type is SHT_NOBITS");
    OutSection& out = put(section.name, section.type, section.flags, section.addralign, section.entsize);
    out.copied = &section.data;
    out.header.sh_size = section.size();
    if (section.link_order != nullptr) out.header.sh_link = index_of(section.link_order);
    if (section.type == SHT_GROUP) put_group(section, out);
    for (const BuilderRelaSection& rela : section.relas) {
      with_context(rela.name, [&] { put_relocations(section, rela); });
    }
  }

  void put_group(const BuilderSection& group, OutSection& out) {
    out.content = group.data;
    out.content.resize(4);
    for (const BuilderSection* member : group.group_members) {
      uint32_t index = index_of(member);
      append(out.content, index);
      for (const BuilderRelaSection& rela : member->relas) {
        ++index;
        if ((rela.flags & SHF_GROUP) != 0) append(out.content, index);
      }
    }
    out.copied = nullptr;
    out.header.sh_size = out.content.size();
    out.header.sh_link = symtab_index_;
    out.header.sh_info = static_cast<uint32_t>(index_of(group.group_signature));
  }

  void put_relocations(const BuilderSection& section, const BuilderRelaSection& rela) {
    OutSection& out = put(rela.name, SHT_RELA, rela.flags | SHF_INFO_LINK, 8, sizeof(Elf64_Rela));
    out.header.sh_link = symtab_index_;
    out.header.sh_info = index_of(&section);
    for (size_t i = 0; i < rela.relocations.size(); ++i) {
      const BuilderRelocation& relocation = rela.relocations[i];
      check(relocation.offset < section.size() || (relocation.type == 0 && relocation.symbol == nullptr),
            "entry {}: offset {:#x} is not inside {} ({:#x} bytes)", i, relocation.offset, section.name,
            section.size());
      const uint64_t symbol = with_context(fmt::format("entry {}", i), [&] { return index_of(relocation.symbol); });
      append(out.content, Elf64_Rela{relocation.offset, ELF64_R_INFO(symbol, relocation.type), relocation.addend});
    }
    out.header.sh_size = out.content.size();
  }

  uint16_t section_field(const BuilderSymbol& symbol) const {
    switch (symbol.place) {
      case SymbolPlace::undefined:
        return SHN_UNDEF;
      case SymbolPlace::absolute:
        return SHN_ABS;
      case SymbolPlace::common:
        return SHN_COMMON;
      case SymbolPlace::livepatch:
        return 0xff20;  // klp_abi.h; written as it is, though it lies among the reserved indices
      case SymbolPlace::section:
        return static_cast<uint16_t>(index_of(symbol.section));
      case SymbolPlace::other:
        break;
    }
    fail("has a reserved section index");
  }

  void put_tables() {
    StringTable names;
    std::vector<std::byte> table(sizeof(Elf64_Sym));
    for (const bool locals : {true, false}) {
      for (const BuilderSymbol& symbol : symbols_) {
        if ((symbol.bind == kStbLocal) != locals) continue;
        Elf64_Sym raw{};
        raw.st_name = symbol.type == STT_SECTION ? 0 : names.add(symbol.name);
        raw.st_info = ELF64_ST_INFO(symbol.bind, symbol.type);
        raw.st_other = symbol.other;
        raw.st_shndx = with_context(fmt::format("symbol {}", symbol.name), [&] { return section_field(symbol); });
        raw.st_value = symbol.value;
        raw.st_size = symbol.size;
        append(table, raw);
      }
    }
    OutSection& symtab = put(".symtab", SHT_SYMTAB, 0, 8, sizeof(Elf64_Sym));
    symtab.content = std::move(table);
    symtab.header.sh_link = symtab_index_ + 1;
    symtab.header.sh_info = first_global_;
    put(".strtab", SHT_STRTAB, 0, 1, 0).content = to_bytes(names.content());
    OutSection& section_names = put(".shstrtab", SHT_STRTAB, 0, 1, 0);
    section_names.content = to_bytes(section_names_.content());  // complete: its own name was the last one
    for (size_t i = out_.size() - 3; i < out_.size(); ++i) out_[i].header.sh_size = out_[i].content.size();
  }

  std::vector<std::byte> lay_out() {
    std::vector<std::byte> file(sizeof(Elf64_Ehdr));
    uint64_t padding = 0;
    const auto align = [&](uint64_t to) {
      const uint64_t gap = (to - file.size() % to) % to;
      padding += gap;
      check(padding <= kMaxPadding, "more than {:#x} bytes of padding for the alignment of sections", kMaxPadding);
      file.resize(file.size() + gap);
    };
    for (OutSection& section : out_) {
      align(std::max<uint64_t>(section.header.sh_addralign, 1));
      section.header.sh_offset = file.size();
      file.insert(file.end(), section.data().begin(), section.data().end());
    }
    align(8);
    const uint64_t headers = file.size();
    append(file, Elf64_Shdr{});
    for (const OutSection& section : out_) append(file, section.header);
    const Elf64_Ehdr header = file_header(headers);
    std::memcpy(file.data(), &header, sizeof header);
    return file;
  }

  Elf64_Ehdr file_header(uint64_t section_headers) const {
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    header.e_type = ET_REL;
    header.e_machine = machine_;
    header.e_version = EV_CURRENT;
    header.e_flags = flags_;
    header.e_ehsize = sizeof(Elf64_Ehdr);
    header.e_shoff = section_headers;
    header.e_shentsize = sizeof(Elf64_Shdr);
    header.e_shnum = static_cast<uint16_t>(out_.size() + 1);
    header.e_shstrndx = static_cast<uint16_t>(out_.size());
    return header;
  }

  uint16_t machine_;
  uint32_t flags_;
  const std::list<BuilderSection>& sections_;
  const std::list<BuilderSymbol>& symbols_;
  std::unordered_map<const BuilderSection*, uint32_t> section_index_;
  std::unordered_map<const BuilderSymbol*, uint64_t> symbol_index_;
  uint32_t symtab_index_ = 0;
  uint32_t first_global_ = 0;
  StringTable section_names_;
  std::vector<OutSection> out_;
};

}  // namespace

std::vector<std::byte> ObjectBuilder::serialize() const {
  return Writer(machine_, flags_, sections_, symbols_).write();
}

void ObjectBuilder::write(const std::filesystem::path& path) const {
  const std::vector<std::byte> file = with_context(path.string(), [&] { return serialize(); });
  write_file_atomically(path, std::string_view(reinterpret_cast<const char*>(file.data()), file.size()));
}

}  // namespace klp::elf
