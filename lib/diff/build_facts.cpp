#include "diff/build_facts.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "elf/layout_compare.h"
#include "support/bytes.h"

namespace klp::diff {
namespace {

constexpr std::string_view kTable = "__ksymtab_", kCrc = "__crc_";

struct Exported {
  bool gpl_only = false;
  std::optional<uint32_t> crc;
};

std::optional<uint32_t> crc_of(const elf::Symbol& symbol) {
  if (symbol.place == elf::SymbolPlace::absolute) return static_cast<uint32_t>(symbol.value);
  if (!symbol.is_defined()) return std::nullopt;
  const elf::Section& section = *symbol.section;
  const uint64_t offset = symbol.value - section.address;
  if (offset > section.data.size() || section.data.size() - offset < sizeof(uint32_t)) return std::nullopt;
  const bool is_filled_later = std::any_of(section.relocations.begin(), section.relocations.end(),
                                           [&](const auto& r) { return r.offset == offset; });
  if (is_filled_later) return std::nullopt;
  return read_le<uint32_t>(section.data, offset);
}

std::map<std::string, Exported> exports_of(const elf::ElfObject& object) {
  std::map<std::string, Exported> result;
  for (const elf::Symbol& s : object.symbols()) {
    if (s.is_defined() && s.name.starts_with(kTable))
      result[std::string(s.name.substr(kTable.size()))].gpl_only =
          s.section->name.find("_gpl") != std::string_view::npos;
  }
  for (const elf::Symbol& s : object.symbols()) {
    if (!s.name.starts_with(kCrc)) continue;
    const auto found = result.find(std::string(s.name.substr(kCrc.size())));
    if (found != result.end()) found->second.crc = crc_of(s);
  }
  return result;
}

std::string difference(const Exported& a, const Exported& b) {
  std::string text;
  if (a.crc && b.crc && *a.crc != *b.crc) text = fmt::format("CRC {:#010x} instead of {:#010x}", *b.crc, *a.crc);
  if (a.gpl_only != b.gpl_only)
    text += fmt::format("{}{}", text.empty() ? "" : "; ",
                        b.gpl_only ? "for GPL modules only now" : "not for GPL modules only any more");
  return text;
}

std::string difference(const elf::LayoutComparison& c) {
  std::string text = c.old_size == c.new_size ? "" : fmt::format("{} bytes instead of {}", c.new_size, c.old_size);
  const auto add = [&](const std::string& more) { text += (text.empty() ? "" : "; ") + more; };
  if (!c.because_of.empty())
    add("because of " + c.because_of.front());
  else if (!c.changes.empty())
    add(c.changes.front().text());
  if (c.changes.size() > 1) add(fmt::format("{} differences", c.changes.size()));
  return text;
}

/// Types inside of functions come and go with the functions; what has no name of its own is known by its users.
bool is_told(std::string_view name) {
  return name.find(" in ") == std::string_view::npos && !name.empty();
}

}  // namespace

std::vector<Fact> compare_exports(const elf::ElfObject& before, const elf::ElfObject& after) {
  const auto a = exports_of(before), b = exports_of(after);
  std::vector<Fact> result;
  for (const auto& [name, exported] : a) {
    const auto other = b.find(name);
    if (other == b.end())
      result.push_back({Fact::Kind::removed, name, ""});
    else if (std::string text = difference(exported, other->second); !text.empty())
      result.push_back({Fact::Kind::changed, name, std::move(text)});
  }
  for (const auto& [name, exported] : b) {
    if (a.count(name) == 0)
      result.push_back({Fact::Kind::added, name, exported.gpl_only ? "for GPL modules only" : ""});
  }
  return result;
}

std::vector<Fact> compare_types(const elf::TypeTable& before, const elf::TypeTable& after) {
  std::map<std::string, Fact> result;
  for (const elf::LayoutComparison& c : elf::LayoutComparer(before, after).differences()) {
    if (is_told(c.name)) result.emplace(c.name, Fact{Fact::Kind::changed, c.name, difference(c)});
  }
  const auto add_single = [&](const elf::TypeTable& of, const elf::TypeTable& other, Fact::Kind kind) {
    for (const auto& [name, id] : of.named()) {
      if (is_told(name) && other.find(name) == 0)
        result.emplace(name, Fact{kind, name, fmt::format("{} bytes", of.at(id).size)});
    }
  };
  add_single(before, after, Fact::Kind::removed);
  add_single(after, before, Fact::Kind::added);
  std::vector<Fact> sorted;
  for (auto& [name, fact] : result) sorted.push_back(std::move(fact));
  return sorted;
}

/// The strings of all units, each once: one, as a rule.
std::string compiler_of(const elf::ElfObject& object) {
  const elf::Section* comment = object.maybe_section(".comment");
  if (comment == nullptr) return {};
  const std::string_view all(reinterpret_cast<const char*>(comment->data.data()), comment->data.size());
  std::set<std::string_view> seen;
  std::string text;
  for (size_t at = 0; at < all.size();) {
    const size_t end = std::min(all.find('\0', at), all.size());
    const std::string_view one = all.substr(at, end - at);
    if (!one.empty() && seen.insert(one).second) text += fmt::format("{}{}", text.empty() ? "" : ", ", one);
    at = end + 1;
  }
  return text;
}

}  // namespace klp::diff
