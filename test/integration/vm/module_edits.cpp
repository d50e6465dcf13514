#include "module_edits.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>

#include "elf/klp_abi.h"
#include "support/bytes.h"
#include "verify/module_file.h"

namespace klp::test {
namespace {

using elf::Section;
using elf::Symbol;

class Editor {
 public:
  Editor(const elf::ElfObject& module, std::mt19937_64& random) : module_(module), random_(random) {
    for (const Section& s : module.sections()) {
      if (s.name == elf::kFuncsSection) {
        for (const elf::Relocation& r : s.relocations) {
          if (r.offset % elf::kFuncsEntrySize == 16 && r.symbol->is_defined()) replaced_.push_back(r.symbol->section);
          if (r.offset % elf::kFuncsEntrySize < 16 && r.symbol->is_defined())
            names_.push_back(at(*r.symbol->section, r.symbol->value + static_cast<uint64_t>(r.addend)));
        }
      }
      if (s.name == ".symtab") symtab_ = &s;
    }
    for (const Section& s : module.sections()) {
      if (s.type != elf::kShtRela) continue;
      const bool replaced = s.info < module.sections().size() && is_replaced(&module.sections()[s.info]);
      if (replaced && (s.flags & elf::kShfRelaLivepatch) != 0) klp_relas_.push_back(&s);
      if (replaced) relas_.push_back(&s);
    }
  }

  Mutant make();

 private:
  using Kind = void (Editor::*)();

  uint64_t below(uint64_t limit) { return limit == 0 ? 0 : random_() % limit; }
  template <typename List>
  const auto& one_of(const List& list) {
    return list[below(std::size(list))];
  }
  template <typename T>
  void put(uint64_t offset, T value, std::string what) {
    std::vector<std::byte> bytes(sizeof(T));
    std::memcpy(bytes.data(), &value, sizeof(T));
    mutant_.edits.push_back({offset, std::move(bytes)});
    mutant_.what += (mutant_.what.empty() ? "" : "; ") + std::move(what);
  }
  void put_text(uint64_t offset, std::string_view text, std::string what) {
    const auto* start = reinterpret_cast<const std::byte*>(text.data());
    mutant_.edits.push_back({offset, std::vector<std::byte>(start, start + text.size())});
    mutant_.what += (mutant_.what.empty() ? "" : "; ") + std::move(what);
  }
  /// The file offset of a place in a section.
  uint64_t at(const Section& section, uint64_t offset) const {
    return static_cast<uint64_t>(section.data.data() - module_.bytes().data()) + offset;
  }
  uint64_t header_of(const Section& section) const {
    return read_le<uint64_t>(module_.bytes(), 40) + section.index * verify::kSectionHeaderSize;
  }
  uint64_t symbol_at(const Symbol& symbol) const { return at(*symtab_, symbol.index * verify::kSymbolSize); }
  bool is_replaced(const Section* section) const {
    return std::find(replaced_.begin(), replaced_.end(), section) != replaced_.end();
  }
  const Section& some_section() { return module_.sections()[1 + below(module_.sections().size() - 1)]; }
  const Section& named(std::string_view name) const { return *module_.maybe_section(name); }
  uint64_t name_in_file(uint64_t table, uint32_t name) const { return at(module_.sections()[table], name); }
  uint64_t symbol_name(const Symbol& symbol) const {
    return name_in_file(symtab_->link, read_le<uint32_t>(module_.bytes(), symbol_at(symbol)));
  }
  uint64_t section_name(const Section& section) const {
    return name_in_file(read_le<uint16_t>(module_.bytes(), 62), read_le<uint32_t>(module_.bytes(), header_of(section)));
  }
  const Symbol& some_symbol(const std::function<bool(const Symbol&)>& wanted) {
    std::vector<const Symbol*> all;
    for (const Symbol& s : module_.symbols()) {
      if (s.index != 0 && wanted(s)) all.push_back(&s);
    }
    return *one_of(all);
  }
  const Symbol& klp_symbol() {
    return some_symbol([](const Symbol& s) { return s.place == elf::SymbolPlace::livepatch; });
  }
  bool has_klp() const { return !klp_relas_.empty(); }
  /// One entry of a relocation section: of livepatch's, or of a replaced function.
  uint64_t some_relocation(const Section*& section) {
    section = has_klp() && below(2) == 0 ? one_of(klp_relas_) : one_of(relas_);
    return at(*section, below(section->size / verify::kRelocationSize) * verify::kRelocationSize);
  }
  char letter() { return static_cast<char>('a' + below(26)); }

  void header();
  void section_bounds();
  void section_type();
  void section_flags();
  void special_name();
  void names_end();
  void modinfo();
  void version();
  void import_name();
  void import_bind();
  void klp_name();
  void klp_object();
  void klp_position();
  void klp_format();
  void klp_place();
  void symbol_section();
  void relocation_type();
  void relocation_offset();
  void relocation_symbol();
  void relocation_addend();
  void field();
  void code();
  void replaced_name();
  void replaced_position();
  void table_pointer();
  void klp_section_name();
  void klp_section_flags();
  void klp_section_target();
  void cut();

  const elf::ElfObject& module_;
  std::mt19937_64& random_;
  Mutant mutant_;
  const Section* symtab_ = nullptr;
  std::vector<const Section*> replaced_, klp_relas_, relas_;
  std::vector<uint64_t> names_;
};

void Editor::header() {
  switch (below(7)) {
    case 0:
      return put<uint8_t>(1, 'F', "the ELF magic");
    case 1:
      return put<uint16_t>(16, static_cast<uint16_t>(2 + below(3)), "e_type");
    case 2:
      return put<uint16_t>(18, static_cast<uint16_t>(below(2) == 0 ? 3 : 183), "e_machine");
    case 3:
      return put<uint16_t>(58, 56, "e_shentsize");
    case 4:
      return put<uint64_t>(40, module_.bytes().size() - below(64), "e_shoff");
    case 5:
      return put<uint16_t>(62, 0, "e_shstrndx 0");
    default:
      return put<uint16_t>(62, static_cast<uint16_t>(module_.sections().size() + below(9)), "e_shstrndx too large");
  }
}

void Editor::section_bounds() {
  const Section& s = some_section();
  const std::string place = fmt::format(" of section {}", s.name);
  const uint64_t size = module_.bytes().size();
  if (below(3) == 0) return put<uint64_t>(header_of(s) + 32, size + below(4096), "sh_size" + place);
  if (below(2) == 0) return put<uint64_t>(header_of(s) + 24, size + below(4096), "sh_offset" + place);
  put<uint32_t>(header_of(s), 0x100000, "sh_name" + place);
}

void Editor::section_type() {
  if (below(2) == 0) {
    const Section& other = named(below(2) == 0 ? ".comment" : ".note.Linux");
    return put<uint32_t>(header_of(other) + 4, elf::kShtSymtab, "a second symbol table");
  }
  switch (below(4)) {
    case 0:
      return put<uint32_t>(header_of(*symtab_) + 4, 11, "the symbol table's type");
    case 1:
      return put<uint32_t>(header_of(*symtab_) + 40, below(2) == 0 ? 0 : 0x7fff, "the symbol table's sh_link");
    case 2:
      return put<uint32_t>(header_of(module_.sections()[symtab_->link]) + 4, elf::kShtProgbits, "type of the strings");
    default:
      return put<uint64_t>(header_of(module_.sections()[0]) + 32, 8, "a size for section 0");
  }
}

void Editor::section_flags() {
  const Section& s = some_section();
  put<uint64_t>(header_of(s) + 8, s.flags | elf::kShfWrite | elf::kShfExec,
                fmt::format("{} writable and executable", s.name));
}

void Editor::special_name() {
  constexpr std::array<std::string_view, 3> kNames = {".modinfo", "__versions", ".gnu.linkonce.this_module"};
  const std::string_view name = one_of(kNames);
  put<char>(section_name(named(name)) + 1 + below(name.size() - 1), letter(), fmt::format("the name of {}", name));
}

void Editor::names_end() {
  const Section& names = module_.sections()[read_le<uint16_t>(module_.bytes(), 62)];
  put<char>(at(names, names.size - 1), 'x', "the section names' last NUL");
}

void Editor::modinfo() {
  const Section& info = named(".modinfo");
  const std::string_view all(reinterpret_cast<const char*>(info.data.data()), info.data.size());
  constexpr std::array<std::string_view, 5> kTexts = {"SMP", "modversions", "livepatch=", "license=GPL", "name=live"};
  const std::string_view text = one_of(kTexts);
  const size_t found = all.find(text);
  put<char>(at(info, found + text.size() - 2), 'X', fmt::format("{} in .modinfo", text));
}

void Editor::version() {
  const Section& versions = named("__versions");
  const uint64_t entry = below(versions.size / 64) * 64;
  if (below(2) == 0) return put<uint8_t>(at(versions, entry + below(4)), 0x5a, "a CRC");
  put<char>(at(versions, entry + 8), '_', "the name of a version");
}

void Editor::import_name() {
  const Symbol& s = some_symbol([](const Symbol& symbol) { return symbol.is_undefined() && symbol.name.size() > 2; });
  put<char>(symbol_name(s) + below(s.name.size()), letter(), fmt::format("the name of import {}", s.name));
}

void Editor::import_bind() {
  import_name();
  const Symbol& s = some_symbol([](const Symbol& symbol) { return symbol.is_undefined() && symbol.name.size() > 2; });
  put<uint8_t>(symbol_at(s) + 4, 0x20, fmt::format("import {} weak", s.name));
}

void Editor::klp_name() {
  if (!has_klp()) return import_name();
  const Symbol& s = klp_symbol();
  const size_t start = s.name.find('.', 9) + 1;  // behind .klp.sym.OBJECT.
  put<char>(symbol_name(s) + start + below(s.name.find(',') - start), letter(), fmt::format("the name {}", s.name));
}

void Editor::klp_object() {
  if (!has_klp()) return modinfo();
  const Symbol& s = klp_symbol();
  constexpr std::string_view kPrefix = ".klp.sym.";
  put<char>(symbol_name(s) + kPrefix.size() + below(3), letter(), fmt::format("the object of {}", s.name));
}

void Editor::klp_position() {
  if (!has_klp()) return replaced_position();
  const Symbol& s = klp_symbol();
  put<char>(symbol_name(s) + s.name.find(',') + 1, static_cast<char>('0' + below(4)),
            fmt::format("the position of {}", s.name));
}

void Editor::klp_format() {
  if (!has_klp()) return version();
  const Symbol& s = klp_symbol();
  constexpr std::array<std::string_view, 4> kTexts = {";", ".", "x", " "};
  const size_t comma = s.name.find(',');
  const size_t place = below(3) == 0 ? below(9) : comma + below(2);
  put_text(symbol_name(s) + place, one_of(kTexts), fmt::format("the form of {}", s.name));
}

void Editor::klp_place() {
  if (!has_klp()) return symbol_section();
  constexpr std::array<uint16_t, 3> kPlaces = {0, 0xfff1, 1};
  const Symbol& s = klp_symbol();
  put<uint16_t>(symbol_at(s) + 6, one_of(kPlaces), fmt::format("the place of {}", s.name));
}

void Editor::symbol_section() {
  constexpr std::array<uint16_t, 3> kPlaces = {0x7fff, 0xfff2, 0xff00};
  const Symbol& s = some_symbol([](const Symbol& symbol) { return symbol.type <= elf::kSttFunc; });
  put<uint16_t>(symbol_at(s) + 6, one_of(kPlaces), fmt::format("the section of symbol {}", s.name));
}

void Editor::relocation_type() {
  constexpr std::array<uint32_t, 9> kTypes = {0, 1, 2, 4, 9, 10, 11, 24, 42};
  // NONE, ADDR32, REL24, REL14, REL32, ADDR64, REL64, TOC16 and its kin, ENTRY, REL16_LO, REL16_HA
  constexpr std::array<uint32_t, 14> kPowerTypes = {0, 1, 10, 11, 26, 38, 44, 47, 48, 50, 63, 64, 118, 250};
  const Section* section = nullptr;
  const uint64_t place = some_relocation(section);
  put<uint32_t>(place + 8, module_.machine() == EM_PPC64 ? one_of(kPowerTypes) : one_of(kTypes),
                fmt::format("a type in {}", section->name));
}

void Editor::relocation_offset() {
  const Section* section = nullptr;
  const uint64_t place = some_relocation(section);
  put<uint64_t>(place, below(module_.sections()[section->info].size), fmt::format("an offset in {}", section->name));
}

void Editor::relocation_symbol() {
  const Section* section = nullptr;
  const uint64_t place = some_relocation(section);
  put<uint32_t>(place + 12, static_cast<uint32_t>(below(module_.symbols().size())),
                fmt::format("a symbol in {}", section->name));
}

void Editor::relocation_addend() {
  constexpr std::array<int64_t, 4> kAddends = {0, 16, 0x7fffffff, -0x70000000};
  const Section* section = nullptr;
  const uint64_t place = some_relocation(section);
  put<int64_t>(place + 16, one_of(kAddends), fmt::format("an addend in {}", section->name));
}

/// A byte of a relocated field.
void Editor::field() {
  const Section* section = nullptr;
  const uint64_t place = some_relocation(section);
  const auto offset = read_le<uint64_t>(module_.bytes(), place);
  put<uint8_t>(at(module_.sections()[section->info], offset + below(4)), 1,
               fmt::format("a field of {}", section->name));
}

void Editor::code() {
  const Section& section = *one_of(replaced_);
  put<uint8_t>(at(section, below(section.size)), static_cast<uint8_t>(below(256)),
               fmt::format("code in {}", section.name));
}

/// Other functions, with an ftrace site and without, and names that are there several times or not at all.
void Editor::replaced_name() {
  constexpr std::array<std::string_view, 8> kNames = {"uptime_proc_show", "version_proc_show", "m_start", "c_show",
                                                      "memcpy",           "jiffies",           "nowhere", ""};
  const uint64_t place = one_of(names_);
  const size_t room = read_c_string(module_.bytes(), place).size();
  const std::string_view name = one_of(kNames);
  if (name.size() > room) return put<char>(place + below(room), letter(), "a name of the table");
  put_text(place, std::string(name) + '\0', fmt::format("\"{}\" in the table", name));
}

void Editor::replaced_position() {
  put<uint8_t>(at(named(elf::kFuncsSection), 24), static_cast<uint8_t>(below(4)),
               "the position of a replaced function");
}

void Editor::table_pointer() {
  for (const Section& s : module_.sections()) {
    if (s.name != ".rela.klp_diff.funcs") continue;
    const uint64_t entry = below(s.size / verify::kRelocationSize) * verify::kRelocationSize;
    put<uint32_t>(at(s, entry + 8), 0, "a pointer of the table of functions");
  }
}

void Editor::klp_section_name() {
  if (!has_klp()) return special_name();
  const Section& s = *one_of(klp_relas_);
  put<char>(section_name(s) + below(14), below(4) == 0 ? '.' : letter(), fmt::format("the name of {}", s.name));
}

void Editor::klp_section_flags() {
  if (!has_klp()) return section_flags();
  const Section& s = *one_of(klp_relas_);
  const uint64_t flag = below(2) == 0 ? elf::kShfRelaLivepatch : elf::kShfAlloc;
  put<uint64_t>(header_of(s) + 8, s.flags & ~flag, fmt::format("a flag of {}", s.name));
}

void Editor::klp_section_target() {
  if (!has_klp()) return relocation_offset();
  const Section& s = *one_of(klp_relas_);
  put<uint32_t>(header_of(s) + 44, static_cast<uint32_t>(below(module_.sections().size() + 4)),
                fmt::format("sh_info of {}", s.name));
}

void Editor::cut() {
  mutant_.length = 1 + below(module_.bytes().size());
  mutant_.what = fmt::format("cut to {} bytes", *mutant_.length);
}

Mutant Editor::make() {
  constexpr std::array<Kind, 30> kKinds = {&Editor::header,
                                           &Editor::section_bounds,
                                           &Editor::section_type,
                                           &Editor::section_flags,
                                           &Editor::special_name,
                                           &Editor::names_end,
                                           &Editor::modinfo,
                                           &Editor::version,
                                           &Editor::import_name,
                                           &Editor::import_bind,
                                           &Editor::klp_name,
                                           &Editor::klp_object,
                                           &Editor::klp_position,
                                           &Editor::klp_format,
                                           &Editor::klp_place,
                                           &Editor::symbol_section,
                                           &Editor::relocation_type,
                                           &Editor::relocation_offset,
                                           &Editor::relocation_symbol,
                                           &Editor::relocation_addend,
                                           &Editor::field,
                                           &Editor::code,
                                           &Editor::code,
                                           &Editor::replaced_name,
                                           &Editor::replaced_name,
                                           &Editor::replaced_position,
                                           &Editor::table_pointer,
                                           &Editor::klp_section_name,
                                           &Editor::klp_section_flags,
                                           &Editor::klp_section_target};
  const uint64_t kind = below(kKinds.size() + 1);
  if (kind == kKinds.size())
    cut();
  else
    (this->*kKinds[kind])();
  return std::move(mutant_);
}

}  // namespace

Mutant mutant_of(const elf::ElfObject& module, std::mt19937_64& random) {
  return Editor(module, random).make();
}

std::vector<std::byte> apply(const elf::ElfObject& module, const Mutant& mutant) {
  std::vector<std::byte> file(module.bytes().begin(), module.bytes().end());
  for (const Edit& edit : mutant.edits)
    std::copy(edit.bytes.begin(), edit.bytes.end(), file.begin() + static_cast<ptrdiff_t>(edit.offset));
  if (mutant.length) file.resize(*mutant.length);
  return file;
}

}  // namespace klp::test
