// Reading an ELF file by hand over checked byte ranges: the format's tables are few and flat, and a reader that checks
// every index itself gives messages that name section and entry. libelf is used where formats are deep (DWARF, BTF).
#include "elf/elf_object.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <optional>
#include <utility>

#include "elf/name_table.h"
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

  /// Tells that a part is not needed soon: its pages no longer count as ours. Reading it again only costs time.
  void forget(std::span<const std::byte> part) const {
    if (mapped_ == nullptr || part.empty()) return;
    const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    const uintptr_t start = (reinterpret_cast<uintptr_t>(part.data()) + page - 1) / page * page;
    const uintptr_t end = reinterpret_cast<uintptr_t>(part.data() + part.size()) / page * page;
    if (start < end) madvise(reinterpret_cast<void*>(start), end - start, MADV_DONTNEED);
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

// What no kernel object comes near. Files that do are broken, and numbers within these limits can be added without
// overflow, names looked up in reasonable time.
constexpr size_t kMaxName = 4096;
constexpr uint64_t kMaxSectionSize = 1ULL << 40;
constexpr int64_t kMaxAddend = 1LL << 62;

std::string_view read_name(std::span<const std::byte> names, uint64_t offset) {
  const std::string_view name = read_c_string(names, offset);
  check(name.size() <= kMaxName, "a name of {} bytes", name.size());
  return name;
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

/// By (value, index), for symbols in the order of the table: a stable sort by the values' digits of 11 bits. vmlinux'
/// .text has 60,000 symbols, which takes three passes.
void sort_by_value(std::vector<const Symbol*>& symbols) {
  const auto by_value = [](const Symbol* a, const Symbol* b) { return a->value < b->value; };
  if (std::is_sorted(symbols.begin(), symbols.end(), by_value)) return;
  if (symbols.size() < 1000) return std::stable_sort(symbols.begin(), symbols.end(), by_value);
  const auto [low, high] = std::minmax_element(symbols.begin(), symbols.end(), by_value);
  const uint64_t least = (*low)->value, range = (*high)->value - least;
  std::vector<std::pair<uint64_t, const Symbol*>> keys, sorted(symbols.size());
  keys.reserve(symbols.size());
  for (const Symbol* s : symbols) keys.emplace_back(s->value - least, s);
  for (int shift = 0; shift < 64 && range >> shift != 0; shift += 11) {
    const auto digit = [shift](const auto& key) { return (key.first >> shift) & 0x7ff; };
    std::array<size_t, 0x800> next{};
    for (const auto& key : keys) ++next[digit(key)];
    for (size_t sum = 0; size_t & count : next) sum += std::exchange(count, sum);
    for (const auto& key : keys) sorted[next[digit(key)]++] = key;
    keys.swap(sorted);
  }
  for (size_t i = 0; i < keys.size(); ++i) symbols[i] = keys[i].second;
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
  std::once_flag names_made;
  std::optional<NameTable> table_of_names;  // made at first use

  const NameTable& name_table() {
    std::call_once(names_made, [this] { table_of_names.emplace(symbols); });
    return *table_of_names;
  }

  std::span<const std::byte> bytes() const { return file.all(); }

  void read_header();
  void read_sections();
  void fill_section(Section& s, const Elf64_Shdr& h, uint64_t index, std::span<const std::byte> names) const;
  void read_symbols();
  void read_symbol(size_t index, const Section& table, const Section& strings, const Section* extended,
                   std::string_view& file_name);
  void place_symbol(Symbol& s, uint64_t index, const Section* extended);
  void read_relocations(Want want);
  void read_relocation(uint64_t index, const Section& rela, Section& target);
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
  uint64_t content = 0;
  for (uint64_t i = 0; i < count; ++i) {
    with_context(fmt::format("section {} (truncated file?)", i),
                 [&] { fill_section(sections[i], headers[i], i, names); });
    content += sections[i].data.size();
    // Else a small file could stand for any amount of work.
    check(content <= bytes().size(), "section {}: the sections overlap", i);
  }
}

void ElfObject::State::fill_section(Section& s, const Elf64_Shdr& h, uint64_t index,
                                    std::span<const std::byte> names) const {
  s.index = static_cast<uint32_t>(index);
  s.name = index == 0 ? std::string_view() : read_name(names, h.sh_name);
  s.type = h.sh_type;
  s.flags = h.sh_flags;
  s.addralign = std::max<uint64_t>(h.sh_addralign, 1);
  s.entsize = h.sh_entsize;
  s.address = h.sh_addr;
  s.link = h.sh_link;
  s.info = h.sh_info;
  if (index == 0) return;
  s.size = h.sh_size;
  check(h.sh_size <= kMaxSectionSize, "{}: {:#x} bytes", s.name, h.sh_size);
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
  size_t i = 0;
  try {
    for (; i < symbols.size(); ++i) read_symbol(i, *table, strings, extended, file_name);
  } catch (Error& error) {  // with_context would format a text for each of them
    error.add_context(fmt::format("symbol {}", i));
    throw;
  }
}

void ElfObject::State::read_symbol(size_t index, const Section& table, const Section& strings, const Section* extended,
                                   std::string_view& file_name) {
  const auto raw = read_record<Elf64_Sym>(table.data, index * sizeof(Elf64_Sym));
  Symbol& s = symbols[index];
  s.index = static_cast<uint32_t>(index);
  s.name = raw.st_name == 0 ? std::string_view() : read_name(strings.data, raw.st_name);
  s.value = raw.st_value;
  s.size = raw.st_size;
  s.bind = ELF64_ST_BIND(raw.st_info);
  s.type = ELF64_ST_TYPE(raw.st_info);
  s.other = raw.st_other;
  s.place = place_of(raw.st_shndx);
  if (s.type == STT_FILE) file_name = s.name;
  if (s.is_local()) s.file = file_name;
  if (s.place == SymbolPlace::section) place_symbol(s, raw.st_shndx, extended);
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

void ElfObject::State::read_relocations(Want want) {
  for (const Section& rela : sections) {
    check(rela.type != SHT_REL, "{}: relocations without addend are not used by 64-bit kernels", rela.name);
    if (rela.type != SHT_RELA || rela.info == 0) continue;
    const bool known = rela.info < sections.size();  // else an error, below
    if (want == Want::allocated && known && !sections[rela.info].is_alloc()) continue;
    with_context(fmt::format("section {}", rela.name), [&] {
      check(rela.entsize == sizeof(Elf64_Rela) && rela.size % sizeof(Elf64_Rela) == 0, "entries of {} bytes, {} in all",
            rela.entsize, rela.size);
      Section& target = section_at(rela.info, "relocated section");
      check(&target != &rela, "relocates itself");
      const uint64_t count = rela.size / sizeof(Elf64_Rela);
      target.relocations.reserve(target.relocations.size() + count);
      for (uint64_t i = 0; i < count; ++i) read_relocation(i, rela, target);
    });
  }
  const auto by_offset = [](const Relocation& a, const Relocation& b) { return a.offset < b.offset; };
  for (Section& s : sections) {
    if (!std::is_sorted(s.relocations.begin(), s.relocations.end(), by_offset))
      std::stable_sort(s.relocations.begin(), s.relocations.end(), by_offset);
  }
}

void ElfObject::State::read_relocation(uint64_t index, const Section& rela, Section& target) {
  const auto raw = read_record<Elf64_Rela>(rela.data, index * sizeof(Elf64_Rela));
  const uint64_t symbol = ELF64_R_SYM(raw.r_info);
  check(symbol < symbols.size(), "entry {}: symbol {} of {}", index, symbol, symbols.size());
  check(raw.r_offset < target.size || raw.r_info == 0, "entry {}: offset {:#x} behind the end of {}", index,
        raw.r_offset, target.name);
  check(raw.r_addend <= kMaxAddend && raw.r_addend >= -kMaxAddend, "entry {}: addend {:#x}", index, raw.r_addend);
  target.relocations.push_back(
      {raw.r_offset, static_cast<uint32_t>(ELF64_R_TYPE(raw.r_info)), raw.r_addend, &symbols[symbol], &target});
}

void ElfObject::State::index_symbols() {
  std::vector<size_t> counts(sections.size());
  for (const Symbol& s : symbols) {
    if (s.is_defined() && !s.is_section()) ++counts[static_cast<size_t>(s.section - sections.data())];
  }
  for (size_t i = 0; i < sections.size(); ++i) sections[i].symbols.reserve(counts[i]);
  for (const Symbol& s : symbols) {
    if (s.is_defined() && !s.is_section())
      sections[static_cast<size_t>(s.section - sections.data())].symbols.push_back(&s);
  }
  for (Section& s : sections) sort_by_value(s.symbols);
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
  if (want != ElfObject::Want::symbols_only) state.read_relocations(want);
  state.index_symbols();
  for (const Section& s : state.sections) {
    if (s.type == SHT_SYMTAB || s.type == SHT_RELA) state.file.forget(s.data);
  }
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
  std::vector<const Symbol*> result = all_named(name);
  std::erase_if(result, [](const Symbol* s) { return !s->is_defined() || s->is_section(); });
  return result;
}

std::vector<const Symbol*> ElfObject::all_named(std::string_view name) const {
  return state_->name_table().find(name);
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
