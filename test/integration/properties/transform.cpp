#include "transform.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "support/error.h"

namespace klp::test {
namespace {

using elf::BuilderRelocation;
using elf::BuilderSection;
using elf::BuilderSymbol;
using elf::ObjectBuilder;

constexpr uint32_t kR64 = 1, kRPc32 = 2, kRPlt32 = 4, kR32S = 11;

/// Puts the elements of a list into the order of `order` (their addresses stay).
template <typename T>
void reorder(std::list<T>& list, const std::vector<T*>& order) {
  std::map<const T*, typename std::list<T>::iterator> places;
  for (auto at = list.begin(); at != list.end(); ++at) places[&*at] = at;
  for (T* element : order) list.splice(list.end(), list, places.at(element));
}

std::string_view digits_at_end(std::string_view name) {
  size_t start = name.size();
  while (start > 0 && name[start - 1] >= '0' && name[start - 1] <= '9') --start;
  return name.substr(start);
}

/// The part that stays when compilers number anew; empty for names without number.
std::string numbered_base(const BuilderSymbol& symbol) {
  const std::string_view digits = digits_at_end(symbol.name);
  if (digits.empty() || symbol.bind != elf::kStbLocal || symbol.section == nullptr) return {};
  const std::string base = symbol.name.substr(0, symbol.name.size() - digits.size());
  const bool unique = base.starts_with("__UNIQUE_ID_");
  const bool local = base.size() > 1 && base.ends_with('.') && !base.starts_with('.');
  if (symbol.type != elf::kSttObject && symbol.type != elf::kSttFunc) return {};
  return unique || local ? base : std::string();
}

template <typename Visit>
void for_each_relocation(ObjectBuilder& object, Visit visit) {
  for (BuilderSection& section : object.sections()) {
    for (elf::BuilderRelaSection& rela : section.relas) {
      for (BuilderRelocation& r : rela.relocations) visit(section, r);
    }
  }
}

std::map<const BuilderSection*, std::vector<BuilderSymbol*>> symbols_by_section(ObjectBuilder& object) {
  std::map<const BuilderSection*, std::vector<BuilderSymbol*>> result;
  for (BuilderSymbol& s : object.symbols()) {
    if (s.section != nullptr && s.type != elf::kSttSection) result[s.section].push_back(&s);
  }
  return result;
}

bool is_debug(const BuilderSection& section) {
  return section.name.starts_with(".debug_");
}

/// Where a field points to for sure: absolute ones, and calls.
std::optional<int64_t> certain_target(const BuilderRelocation& r) {
  if (r.type == kR64 || r.type == kR32S) return r.addend;
  if (r.type == kRPlt32) return r.addend + 4;
  return std::nullopt;
}

/// Moves the content of a section `by` bytes back, with all that refers to it.
void pad(ObjectBuilder& object, BuilderSection& section, uint64_t by) {
  section.data.insert(section.data.begin(), by, std::byte{'~'});
  if ((section.flags & elf::kShfStrings) != 0) section.data[by - 1] = std::byte{0};
  for (elf::BuilderRelaSection& rela : section.relas) {
    for (BuilderRelocation& r : rela.relocations) r.offset += by;
  }
  for (BuilderSymbol& s : object.symbols()) {
    if (s.section == &section && s.type != elf::kSttSection) s.value += by;
  }
  for_each_relocation(object, [&](const BuilderSection&, BuilderRelocation& r) {
    if (r.symbol != nullptr && r.symbol->section == &section && r.symbol->type == elf::kSttSection)
      r.addend += static_cast<int64_t>(by);
  });
}

}  // namespace

void shuffle_sections(ObjectBuilder& object, Random& random) {
  std::vector<BuilderSection*> order;
  for (BuilderSection& s : object.sections()) order.push_back(&s);
  std::shuffle(order.begin(), order.end(), random);
  std::stable_partition(order.begin(), order.end(), [](const BuilderSection* s) { return s->type == elf::kShtGroup; });
  reorder(object.sections(), order);
}

void shuffle_symbols(ObjectBuilder& object, Random& random) {
  std::vector<std::vector<BuilderSymbol*>> groups(1);  // one a FILE symbol, what is before the first, the globals
  std::vector<BuilderSymbol*> globals, order;
  for (BuilderSymbol& s : object.symbols()) {
    if (s.type == elf::kSttFile) groups.emplace_back();
    (s.bind == elf::kStbLocal ? groups.back() : globals).push_back(&s);
  }
  groups.push_back(globals);
  for (std::vector<BuilderSymbol*>& group : groups) {
    const bool file = !group.empty() && group.front()->type == elf::kSttFile;
    std::shuffle(group.begin() + (file ? 1 : 0), group.end(), random);
    order.insert(order.end(), group.begin(), group.end());
  }
  reorder(object.symbols(), order);
}

void renumber(ObjectBuilder& object, Random& random) {
  std::vector<BuilderSymbol*> all;
  std::set<std::string> kept;
  for (BuilderSymbol& s : object.symbols()) {
    if (numbered_base(s).empty()) {
      kept.insert(s.name);
    } else {
      all.push_back(&s);
    }
  }
  std::vector<size_t> numbers(all.size() * 2 + 8);
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = i;
  std::shuffle(numbers.begin(), numbers.end(), random);
  for (size_t i = 0, next = 0; i < all.size(); ++next) {
    const std::string name = numbered_base(*all[i]) + std::to_string(numbers.at(next));
    if (kept.count(name) == 0) all[i++]->name = name;
  }
}

void add_section_symbols(ObjectBuilder& object) {
  for (BuilderSection& s : object.sections()) {
    if ((s.flags & elf::kShfAlloc) != 0) object.section_symbol(s);
  }
}

void use_section_symbols(ObjectBuilder& object) {
  const auto symbols = symbols_by_section(object);
  for_each_relocation(object, [&](const BuilderSection&, BuilderRelocation& r) {
    BuilderSymbol* s = r.symbol;
    if (s == nullptr || s->section == nullptr || s->bind != elf::kStbLocal || s->type == elf::kSttSection) return;
    if (symbols.at(s->section).size() != 1 || (s->section->flags & 0x10) != 0) return;  // 0x10: SHF_MERGE
    r.addend += static_cast<int64_t>(s->value);
    r.symbol = &object.section_symbol(*s->section);
  });
}

void use_named_symbols(ObjectBuilder& object) {
  const auto symbols = symbols_by_section(object);
  for_each_relocation(object, [&](const BuilderSection& from, BuilderRelocation& r) {
    if (r.symbol == nullptr || r.symbol->type != elf::kSttSection || is_debug(from)) return;
    const auto found = symbols.find(r.symbol->section);
    const auto target = certain_target(r);
    if (found == symbols.end() || found->second.size() != 1 || !target) return;
    BuilderSymbol* s = found->second.front();
    if (s->bind != elf::kStbLocal || s->size == 0 || static_cast<int64_t>(s->value) != *target) return;
    r.addend -= static_cast<int64_t>(s->value);
    r.symbol = s;
  });
}

/// Strings and constants that linkers may merge have no place of their own. Other data without symbols does: nothing
/// says where in it an object begins.
void pad_mergeable(ObjectBuilder& object) {
  for (BuilderSection& s : object.sections()) {
    if ((s.flags & elf::kShfAlloc) == 0 || s.data.empty() || (s.flags & elf::kShfMerge) == 0) continue;
    pad(object, s, std::max<uint64_t>({s.entsize * 2, s.addralign, 8}) / s.addralign * s.addralign);
  }
}

void strip_debug(ObjectBuilder& object) {
  std::vector<const BuilderSection*> gone;
  for (const BuilderSection& s : object.sections()) {
    if (is_debug(s)) gone.push_back(&s);
  }
  object.remove_sections(gone);
}

elf::ElfObject transformed(const elf::ElfObject& object, const std::string& name, uint64_t seed) {
  ObjectBuilder builder = ObjectBuilder::copy_of(object);
  Random random(seed);
  const bool all = name == "all";
  bool known = all;
  const auto is = [&](const char* one) {
    known = known || name == one;
    return all || name == one;
  };
  if (is("numbers")) renumber(builder, random);
  if (is("section symbols")) add_section_symbols(builder);
  if (is("to sections")) use_section_symbols(builder);
  if (name == "to names") use_named_symbols(builder);
  if (is("padding")) pad_mergeable(builder);
  if (is("sections")) shuffle_sections(builder, random);
  if (is("symbols")) shuffle_symbols(builder, random);
  if (name == "no debug") strip_debug(builder);
  check(known || name == "to names" || name == "no debug", "unknown transformation {}", name);
  return elf::ElfObject::parse(object.name() + " (" + name + ")", builder.serialize());
}

}  // namespace klp::test
