#include "elf/symbols_from_map.h"

#include <elf.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string>

#include "elf/elf_object.h"
#include "support/error.h"

namespace klp::elf {
namespace {

struct Line {
  uint64_t address = 0;
  char type = 0;
  std::string_view name;
};

/// Nothing for a line of a module, which has its name behind a tab.
bool parse(std::string_view text, Line& line) {
  const size_t blank = text.find(' ');
  if (blank == std::string_view::npos || text.size() < blank + 4 || text[blank + 2] != ' ') return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + blank, line.address, 16);
  line.type = text[blank + 1];
  line.name = text.substr(blank + 3);
  return error == std::errc() && end == text.data() + blank && line.name.find('\t') == std::string_view::npos;
}

std::vector<Line> lines_of(std::string_view map) {
  std::vector<Line> result;
  for (size_t start = 0; start < map.size();) {
    const size_t end = std::min(map.find('\n', start), map.size());
    Line line;
    if (parse(map.substr(start, end - start), line)) result.push_back(line);
    start = end + 1;
  }
  std::stable_sort(result.begin(), result.end(), [](const Line& a, const Line& b) { return a.address < b.address; });
  return result;
}

/// The mapped section of an address; per-cpu sections, linked at 0, are found by the type of the line alone: not at
/// all.
const Section* section_of(const ElfObject& image, uint64_t address) {
  for (const Section& s : image.sections()) {
    if (s.is_alloc() && s.address != 0 && address >= s.address && address - s.address < s.size) return &s;
  }
  return nullptr;
}

template <typename Record>
void append(std::vector<std::byte>& out, const Record& record) {
  const auto* bytes = reinterpret_cast<const std::byte*>(&record);
  out.insert(out.end(), bytes, bytes + sizeof record);
}

struct SymbolTable {
  std::vector<Elf64_Sym> symbols{Elf64_Sym{}};
  std::string names = std::string(1, '\0');
  uint32_t locals = 1;
};

SymbolTable make_table(const ElfObject& image, const std::vector<Line>& lines) {
  SymbolTable table;
  for (const bool local : {true, false}) {
    for (size_t i = 0; i < lines.size(); ++i) {
      const Line& line = lines[i];
      const bool lower = line.type >= 'a' && line.type <= 'z' && line.type != 'w' && line.type != 'v';
      const Section* section = lower == local ? section_of(image, line.address) : nullptr;
      if (section == nullptr) continue;
      size_t next = i + 1;
      while (next < lines.size() && lines[next].address == line.address) ++next;
      const uint64_t end = section->address + section->size;
      Elf64_Sym symbol{};
      symbol.st_name = static_cast<uint32_t>(table.names.size());
      symbol.st_info = ELF64_ST_INFO(local ? STB_LOCAL : STB_GLOBAL, section->is_exec() ? STT_FUNC : STT_OBJECT);
      symbol.st_shndx = static_cast<uint16_t>(section->index);
      symbol.st_value = line.address;
      symbol.st_size = (next < lines.size() ? std::min(end, lines[next].address) : end) - line.address;
      table.names.append(line.name);
      table.names += '\0';
      table.symbols.push_back(symbol);
    }
    if (local) table.locals = static_cast<uint32_t>(table.symbols.size());
  }
  return table;
}

void pad(std::vector<std::byte>& out) {
  out.resize((out.size() + 7) / 8 * 8);
}

/// The table, its names, and a copy of the section headers with both, behind everything else.
void append_table(std::vector<std::byte>& out, size_t section_count, const SymbolTable& table) {
  Elf64_Ehdr header{};
  std::memcpy(&header, out.data(), sizeof header);
  std::vector<Elf64_Shdr> sections(section_count);
  std::memcpy(sections.data(), out.data() + header.e_shoff, sections.size() * sizeof(Elf64_Shdr));
  pad(out);
  Elf64_Shdr symtab{}, strtab{};
  symtab.sh_type = SHT_SYMTAB;
  symtab.sh_offset = out.size();
  symtab.sh_size = table.symbols.size() * sizeof(Elf64_Sym);
  symtab.sh_entsize = sizeof(Elf64_Sym);
  symtab.sh_link = static_cast<uint32_t>(sections.size() + 1);
  symtab.sh_info = table.locals;
  symtab.sh_addralign = 8;
  for (const Elf64_Sym& symbol : table.symbols) append(out, symbol);
  strtab.sh_type = SHT_STRTAB;
  strtab.sh_offset = out.size();
  strtab.sh_size = table.names.size();
  strtab.sh_addralign = 1;
  for (const char c : table.names) out.push_back(static_cast<std::byte>(c));
  pad(out);
  sections.push_back(symtab);
  sections.push_back(strtab);
  header.e_shoff = out.size();
  header.e_shnum = static_cast<uint16_t>(sections.size());
  for (const Elf64_Shdr& section : sections) append(out, section);
  std::memcpy(out.data(), &header, sizeof header);
}

}  // namespace

std::vector<std::byte> with_symbols_from(std::span<const std::byte> image, std::string_view map,
                                         const std::filesystem::path& name) {
  std::vector<std::byte> out(image.begin(), image.end());
  const ElfObject read = ElfObject::parse(name.string(), out, ElfObject::Want::symbols_only);
  for (const Section& s : read.sections()) check(s.type != kShtSymtab, "{} has symbols of its own", name.string());
  const std::vector<Line> lines = lines_of(map);
  check(lines.empty() || lines.back().address != 0, "all addresses of the symbols for {} are 0: read kallsyms as root",
        name.string());
  const SymbolTable table = make_table(read, lines);
  check(read.sections().size() < 0xff00 - 2, "{} has too many sections", name.string());
  check(table.symbols.size() > 1, "no symbol of those given lies in {}", name.string());

  append_table(out, read.sections().size(), table);
  return out;
}

}  // namespace klp::elf
