// Making and editing objects. The copy of a read object is the only involved part: what refers to others by index in
// the file (symbols, relocations, groups, link order) is turned into pointers, in an order in which the target already
// exists. Writing is in elf_writer.cpp.
#include "elf/object_builder.h"

#include <elf.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "support/bytes.h"
#include "support/error.h"

namespace klp::elf {
namespace {

/// Tables that are made anew by the writer.
bool is_bookkeeping(const Section& section) {
  return section.index == 0 || section.type == SHT_SYMTAB || section.type == SHT_RELA ||
         section.type == SHT_SYMTAB_SHNDX || (section.type == SHT_STRTAB && !section.is_alloc()) ||
         section.type == SHT_NULL;
}

class Copier {
 public:
  explicit Copier(const ElfObject& object) : object_(object), builder_(object.machine(), object.flags()) {}

  ObjectBuilder copy() {
    check(object_.type() == ET_REL, "{} is not a relocatable object", object_.name());
    for (const Section& section : object_.sections()) copy_section(section);
    for (const Symbol& symbol : object_.symbols()) copy_symbol(symbol);
    for (const Section& section : object_.sections()) {
      with_context(section.name, [&] {
        if (section.type == SHT_RELA) copy_relocations(section);
        if (section.type == SHT_GROUP) copy_group(section);
        if ((section.flags & SHF_LINK_ORDER) != 0) sections_.at(section.index)->link_order = section_at(section.link);
      });
    }
    return std::move(builder_);
  }

 private:
  void copy_section(const Section& from) {
    if (is_bookkeeping(from)) return;
    const bool link_known = from.link == 0 || from.type == SHT_GROUP || (from.flags & SHF_LINK_ORDER) != 0;
    check(link_known, "{}: section {} (type {:#x}) refers to section {} in a way that is not understood",
          object_.name(), from.name, from.type, from.link);
    BuilderSection to;
    to.name = from.name;
    to.type = from.type;
    to.flags = from.flags;
    to.addralign = from.addralign;
    to.entsize = from.entsize;
    to.data.assign(from.data.begin(), from.data.end());
    if (from.type == SHT_NOBITS) to.nobits_size = from.size;
    sections_[from.index] = &builder_.add_section(std::move(to));
  }

  void copy_symbol(const Symbol& from) {
    if (from.index == 0) return;
    BuilderSymbol to;
    to.name = from.name;
    to.value = from.value;
    to.size = from.size;
    to.bind = from.bind;
    to.type = from.type;
    to.other = from.other;
    to.place = from.place;
    check(from.place != SymbolPlace::other, "{}: symbol {} has a reserved section index", object_.name(), from.name);
    if (from.place == SymbolPlace::section) {
      const auto found = sections_.find(from.section->index);
      if (found == sections_.end()) return;  // the section symbol of a symbol or string table
      to.section = found->second;
    }
    symbols_[&from] = &builder_.add_symbol(std::move(to));
  }

  // From the raw entries, not Section::relocations: a section may have several RELA sections, and their order is kept.
  void copy_relocations(const Section& from) {
    BuilderSection* target = section_at(from.info);
    BuilderRelaSection& to = target->relas.emplace_back();
    to.name = from.name;
    to.flags = from.flags & ~kShfInfoLink;
    for (uint64_t at = 0; at < from.data.size(); at += sizeof(Elf64_Rela)) {
      const auto info = read_le<uint64_t>(from.data, at + 8);
      BuilderRelocation relocation{read_le<uint64_t>(from.data, at), static_cast<uint32_t>(ELF64_R_TYPE(info)),
                                   symbol_at(ELF64_R_SYM(info)), read_le<int64_t>(from.data, at + 16)};
      to.relocations.push_back(relocation);
    }
  }

  void copy_group(const Section& from) {
    BuilderSection& to = *sections_.at(from.index);
    to.group_signature = symbol_at(from.info);
    for (uint64_t at = 4; at < from.data.size(); at += 4) {
      const auto index = read_le<uint32_t>(from.data, at);
      check(index < object_.sections().size(), "member {} does not exist", index);
      if (object_.sections()[index].type != SHT_RELA) to.group_members.push_back(section_at(index));
    }
    to.data.resize(std::min<size_t>(to.data.size(), 4));
  }

  BuilderSection* section_at(uint32_t index) {
    const auto found = sections_.find(index);
    check(found != sections_.end(), "refers to section {}, which is none that can be referred to", index);
    return found->second;
  }

  BuilderSymbol* symbol_at(uint64_t index) {
    if (index == 0) return nullptr;
    check(index < object_.symbols().size(), "refers to symbol {} of {}", index, object_.symbols().size());
    const auto found = symbols_.find(&object_.symbols()[index]);
    check(found != symbols_.end(), "refers to the section symbol of a table");
    return found->second;
  }

  const ElfObject& object_;
  ObjectBuilder builder_;
  std::unordered_map<uint32_t, BuilderSection*> sections_;
  std::unordered_map<const Symbol*, BuilderSymbol*> symbols_;
};

}  // namespace

ObjectBuilder ObjectBuilder::copy_of(const ElfObject& object) {
  return Copier(object).copy();
}

BuilderSection& ObjectBuilder::add_section(BuilderSection section) {
  return sections_.emplace_back(std::move(section));
}

BuilderSymbol& ObjectBuilder::add_symbol(BuilderSymbol symbol) {
  return symbols_.emplace_back(std::move(symbol));
}

BuilderSymbol& ObjectBuilder::section_symbol(BuilderSection& section) {
  for (BuilderSymbol& symbol : symbols_) {
    if (symbol.section == &section && symbol.type == kSttSection) return symbol;
  }
  BuilderSymbol symbol;
  symbol.name = section.name;
  symbol.type = kSttSection;
  symbol.place = SymbolPlace::section;
  symbol.section = &section;
  return add_symbol(std::move(symbol));
}

std::vector<BuilderRelocation>& ObjectBuilder::relocations(BuilderSection& section) {
  for (BuilderRelaSection& rela : section.relas) {
    if ((rela.flags & SHF_ALLOC) == 0) return rela.relocations;  // .klp.rela sections have it, ordinary ones do not
  }
  return section.relas.emplace_back(BuilderRelaSection{".rela" + section.name, section.flags & SHF_GROUP, {}})
      .relocations;
}

void ObjectBuilder::remove_sections(const std::vector<const BuilderSection*>& list) {
  std::unordered_set<const BuilderSection*> gone(list.begin(), list.end());
  for (BuilderSection& section : sections_) {
    if (section.type != SHT_GROUP) continue;
    const bool had_members = !section.group_members.empty();
    std::erase_if(section.group_members, [&](const BuilderSection* member) { return gone.contains(member); });
    if (had_members && section.group_members.empty()) gone.insert(&section);
  }
  symbols_.remove_if(
      [&](const BuilderSymbol& symbol) { return symbol.section != nullptr && gone.contains(symbol.section); });
  sections_.remove_if([&](const BuilderSection& section) { return gone.contains(&section); });
}

}  // namespace klp::elf
