// Reading an ELF file by hand over checked byte ranges: the format's tables are few and flat, and a reader that checks
// every index itself gives messages that name section and entry. libelf is used where formats are deep (DWARF, BTF).
#include "elf/elf_object.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <unordered_map>

#include "support/bytes.h"
#include "support/error.h"

namespace klp::elf {
namespace {

/// The file's bytes: mapped, or owned.
class FileBytes {
 public:
  explicit FileBytes(std::vector<std::byte> owned) : owned_(std::move(owned)) {}
  explicit FileBytes(const std::filesystem::path& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    check(fd >= 0, "cannot open: {}", std::strerror(errno));
    struct stat info {};
    const bool known = fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
    if (known && info.st_size > 0) {
      mapped_size_ = static_cast<size_t>(info.st_size);
      mapped_ = mmap(nullptr, mapped_size_, PROT_READ, MAP_PRIVATE, fd, 0);
    }
    close(fd);
    check(known, "not a regular file");
    check(mapped_ != MAP_FAILED, "cannot map: {}", std::strerror(errno));
  }
  ~FileBytes() {
    if (mapped_ != nullptr && mapped_ != MAP_FAILED) munmap(mapped_, mapped_size_);
  }
  FileBytes(const FileBytes&) = delete;
  FileBytes& operator=(const FileBytes&) = delete;

  std::span<const std::byte> all() const {
    if (mapped_ != nullptr) return {static_cast<const std::byte*>(mapped_), mapped_size_};
    return owned_;
  }

 private:
  std::vector<std::byte> owned_;
  void* mapped_ = nullptr;
  size_t mapped_size_ = 0;
};

template <typename T>
T read_record(std::span<const std::byte> bytes, uint64_t offset) {
  T record;
  std::memcpy(&record, slice(bytes, offset, sizeof(T)).data(), sizeof(T));
  return record;
}

SymbolPlace place_of(uint16_t shndx) {
  switch (shndx) {
    case SHN_UNDEF:
      return SymbolPlace::undefined;
    case SHN_ABS:
      return SymbolPlace::absolute;
    case SHN_COMMON:
      return SymbolPlace::common;
    case 0xff20:
      return SymbolPlace::livepatch;
    default:
      return shndx >= SHN_LORESERVE && shndx != SHN_XINDEX ? SymbolPlace::other : SymbolPlace::section;
  }
}

}  // namespace

struct ElfObject::State {
  explicit State(std::string object_name, std::vector<std::byte> bytes)
      : name(std::move(object_name)), file(std::move(bytes)) {}
  explicit State(const std::filesystem::path& path) : name(path.string()), file(path) {}

  std::string name;
  FileBytes file;
  Elf64_Ehdr header{};
  std::vector<Section> sections;
  std::vector<Symbol> symbols;
  std::vector<const Symbol*> section_symbols;  // by section index
  std::unordered_map<std::string_view, std::vector<const Symbol*>> by_name;

  std::span<const std::byte> bytes() const { return file.all(); }

  void read_header();
  void read_sections();
  void fill_section(Section& s, const Elf64_Shdr& h, uint64_t index, std::span<const std::byte> names) const;
  void read_symbols();
  void place_symbol(Symbol& s, uint64_t index, const Section* extended);
  void read_relocations();
  void index_symbols();
  Section& section_at(uint64_t index, std::string_view what);
};

void ElfObject::State::read_header() {
  check(!bytes().empty(), "the file is empty");
  check(bytes().size() >= 4 && std::memcmp(bytes().data(), ELFMAG, SELFMAG) == 0, "not an ELF file");
  check(bytes().size() >= sizeof(Elf64_Ehdr), "truncated: {} bytes are less than an ELF header", bytes().size());
  header = read_record<Elf64_Ehdr>(bytes(), 0);
  check(header.e_ident[EI_CLASS] == ELFCLASS64, "not a 64-bit ELF file");
  check(header.e_ident[EI_DATA] == ELFDATA2LSB, "not a little-endian ELF file");
  check(header.e_shoff != 0, "no section headers");
  check(header.e_shentsize == sizeof(Elf64_Shdr), "section headers of {} bytes", header.e_shentsize);
}

void ElfObject::State::read_sections() {
  uint64_t count = header.e_shnum;
  uint64_t names_index = header.e_shstrndx;
  const auto first = with_context("section header 0 (truncated file?)",
                                  [&] { return read_record<Elf64_Shdr>(bytes(), header.e_shoff); });
  if (count == 0) count = first.sh_size;
  if (names_index == SHN_XINDEX) names_index = first.sh_link;
  check(count <= bytes().size() / sizeof(Elf64_Shdr), "{} sections do not fit into {} bytes (truncated file?)", count,
        bytes().size());
  std::vector<Elf64_Shdr> headers;
  for (uint64_t i = 0; i < count; ++i) {
    headers.push_back(with_context(fmt::format("section header {} (truncated file?)", i), [&] {
      return read_record<Elf64_Shdr>(bytes(), header.e_shoff + i * sizeof(Elf64_Shdr));
    }));
  }
  check(names_index < count, "section name table has index {} of {}", names_index, count);
  const auto names = with_context("section name table", [&] {
    return slice(bytes(), headers[names_index].sh_offset, headers[names_index].sh_size);
  });
  sections.resize(count);
  for (uint64_t i = 0; i < count; ++i) {
    with_context(fmt::format("section {} (truncated file?)", i),
                 [&] { fill_section(sections[i], headers[i], i, names); });
  }
}

void ElfObject::State::fill_section(Section& s, const Elf64_Shdr& h, uint64_t index,
                                    std::span<const std::byte> names) const {
  s.index = static_cast<uint32_t>(index);
  s.name = index == 0 ? std::string_view() : read_c_string(names, h.sh_name);
  s.type = h.sh_type;
  s.flags = h.sh_flags;
  s.addralign = std::max<uint64_t>(h.sh_addralign, 1);
  s.entsize = h.sh_entsize;
  s.address = h.sh_addr;
  s.link = h.sh_link;
  s.info = h.sh_info;
  if (index == 0) return;
  s.size = h.sh_size;
  check(h.sh_type != SHT_NULL || h.sh_size == 0, "{}: null section with a size", s.name);
  check((s.addralign & (s.addralign - 1)) == 0, "{}: alignment {:#x} is no power of two", s.name, s.addralign);
  check((h.sh_flags & SHF_COMPRESSED) == 0 || !s.is_alloc(), "{}: compressed", s.name);
  if (h.sh_type != SHT_NOBITS && h.sh_size > 0) {
    s.data = with_context(s.name, [&] { return slice(bytes(), h.sh_offset, h.sh_size); });
  }
}

Section& ElfObject::State::section_at(uint64_t index, std::string_view what) {
  check(index > 0 && index < sections.size(), "{}: section index {} of {}", what, index, sections.size());
  return sections[index];
}

void ElfObject::State::read_symbols() {
  const Section* table = nullptr;
  const Section* extended = nullptr;
  for (const Section& s : sections) {
    if (s.type == SHT_SYMTAB) {
      check(table == nullptr, "two symbol tables");
      table = &s;
    }
    if (s.type == SHT_SYMTAB_SHNDX) extended = &s;
  }
  if (table == nullptr) return;
  check(table->entsize == sizeof(Elf64_Sym) && table->size % sizeof(Elf64_Sym) == 0,
        "{}: entries of {} bytes, {} in all", table->name, table->entsize, table->size);
  const Section& strings = section_at(table->link, table->name);
  symbols.resize(table->size / sizeof(Elf64_Sym));
  section_symbols.resize(sections.size());
  std::string_view file_name;
  for (size_t i = 0; i < symbols.size(); ++i) {
    with_context(fmt::format("symbol {}", i), [&] {
      const auto raw = read_record<Elf64_Sym>(table->data, i * sizeof(Elf64_Sym));
      Symbol& s = symbols[i];
      s.index = static_cast<uint32_t>(i);
      s.name = raw.st_name == 0 ? std::string_view() : read_c_string(strings.data, raw.st_name);
      s.value = raw.st_value;
      s.size = raw.st_size;
      s.bind = ELF64_ST_BIND(raw.st_info);
      s.type = ELF64_ST_TYPE(raw.st_info);
      s.other = raw.st_other;
      s.place = place_of(raw.st_shndx);
      if (s.type == STT_FILE) file_name = s.name;
      if (s.is_local()) s.file = file_name;
      if (s.place == SymbolPlace::section) place_symbol(s, raw.st_shndx, extended);
    });
  }
}

void ElfObject::State::place_symbol(Symbol& s, uint64_t index, const Section* extended) {
  if (index == SHN_XINDEX) {
    check(extended != nullptr, "no extended section indices");
    index = read_le<uint32_t>(extended->data, s.index * 4);
  }
  s.section = &section_at(index, s.name);
  if (header.e_type == ET_REL) {
    check(s.value <= s.section->size, "{} lies at {:#x}, behind the end of {}", s.name, s.value, s.section->name);
  }
  if (s.is_section()) {
    s.name = s.section->name;
    section_symbols[index] = &s;
  }
}

void ElfObject::State::read_relocations() {
  for (const Section& rela : sections) {
    check(rela.type != SHT_REL, "{}: relocations without addend are not used by 64-bit kernels", rela.name);
    if (rela.type != SHT_RELA || rela.info == 0) continue;
    with_context(fmt::format("section {}", rela.name), [&] {
      check(rela.entsize == sizeof(Elf64_Rela) && rela.size % sizeof(Elf64_Rela) == 0, "entries of {} bytes, {} in all",
            rela.entsize, rela.size);
      Section& target = section_at(rela.info, "relocated section");
      check(&target != &rela, "relocates itself");
      for (uint64_t i = 0; i < rela.size / sizeof(Elf64_Rela); ++i) {
        const auto raw = read_record<Elf64_Rela>(rela.data, i * sizeof(Elf64_Rela));
        const uint64_t symbol = ELF64_R_SYM(raw.r_info);
        check(symbol < symbols.size(), "entry {}: symbol {} of {}", i, symbol, symbols.size());
        check(raw.r_offset < target.size || raw.r_info == 0, "entry {}: offset {:#x} behind the end of {}", i,
              raw.r_offset, target.name);
        target.relocations.push_back(
            {raw.r_offset, static_cast<uint32_t>(ELF64_R_TYPE(raw.r_info)), raw.r_addend, &symbols[symbol], &target});
      }
    });
  }
  for (Section& s : sections) {
    std::stable_sort(s.relocations.begin(), s.relocations.end(),
                     [](const Relocation& a, const Relocation& b) { return a.offset < b.offset; });
  }
}

void ElfObject::State::index_symbols() {
  for (const Symbol& s : symbols) {
    if (!s.is_defined() || s.is_section()) continue;
    sections[s.section->index].symbols.push_back(&s);
    by_name[s.name].push_back(&s);
  }
  for (Section& s : sections) {
    std::stable_sort(s.symbols.begin(), s.symbols.end(),
                     [](const Symbol* a, const Symbol* b) { return a->value < b->value; });
  }
}

ElfObject::ElfObject(std::unique_ptr<State> state) : state_(std::move(state)) {}
ElfObject::ElfObject(ElfObject&&) noexcept = default;
ElfObject& ElfObject::operator=(ElfObject&&) noexcept = default;
ElfObject::~ElfObject() = default;

namespace {

void fill(auto& state, ElfObject::Want want) {
  state.read_header();
  state.read_sections();
  state.read_symbols();
  if (want == ElfObject::Want::relocations) state.read_relocations();
  state.index_symbols();
}

}  // namespace

ElfObject ElfObject::read(const std::filesystem::path& path, Want want) {
  return with_context(path.string(), [&] {
    auto state = std::make_unique<State>(path);
    fill(*state, want);
    return ElfObject(std::move(state));
  });
}

ElfObject ElfObject::parse(std::string name, std::vector<std::byte> bytes, Want want) {
  const std::string context = name;
  return with_context(context, [&] {
    auto state = std::make_unique<State>(std::move(name), std::move(bytes));
    fill(*state, want);
    return ElfObject(std::move(state));
  });
}

const std::string& ElfObject::name() const {
  return state_->name;
}
uint16_t ElfObject::type() const {
  return state_->header.e_type;
}
uint16_t ElfObject::machine() const {
  return state_->header.e_machine;
}
uint32_t ElfObject::flags() const {
  return state_->header.e_flags;
}
const std::vector<Section>& ElfObject::sections() const {
  return state_->sections;
}
const std::vector<Symbol>& ElfObject::symbols() const {
  return state_->symbols;
}
std::span<const std::byte> ElfObject::bytes() const {
  return state_->bytes();
}

const Section* ElfObject::maybe_section(std::string_view name) const {
  for (const Section& s : state_->sections) {
    if (s.index != 0 && s.name == name) return &s;
  }
  return nullptr;
}

const Symbol* ElfObject::maybe_section_symbol(const Section& section) const {
  return section.index < state_->section_symbols.size() ? state_->section_symbols[section.index] : nullptr;
}

std::vector<const Symbol*> ElfObject::symbols_named(std::string_view name) const {
  const auto found = state_->by_name.find(name);
  return found == state_->by_name.end() ? std::vector<const Symbol*>() : found->second;
}

std::string ElfObject::build_id() const {
  const Section* note = maybe_section(".note.gnu.build-id");
  if (note == nullptr) note = maybe_section(".notes");
  if (note == nullptr) return {};
  // Notes: name size, descriptor size, type, then both padded to 4 bytes. Linked kernels put several into .notes.
  for (uint64_t offset = 0; offset + 12 <= note->data.size();) {
    const uint64_t name_size = read_le<uint32_t>(note->data, offset);
    const uint64_t desc_size = read_le<uint32_t>(note->data, offset + 4);
    const uint32_t type = read_le<uint32_t>(note->data, offset + 8);
    const uint64_t desc = offset + 12 + (name_size + 3) / 4 * 4;
    if (desc + desc_size > note->data.size()) break;
    if (type == NT_GNU_BUILD_ID && name_size == 4 && std::memcmp(note->data.data() + offset + 12, "GNU", 4) == 0) {
      std::string hex;
      for (std::byte b : note->data.subspan(desc, desc_size)) hex += fmt::format("{:02x}", static_cast<unsigned>(b));
      return hex;
    }
    offset = desc + (desc_size + 3) / 4 * 4;
  }
  return {};
}

}  // namespace klp::elf
