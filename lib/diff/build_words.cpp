#include "diff/build_words.h"

#include <algorithm>
#include <sstream>
#include <string_view>

namespace klp::diff {
namespace {

constexpr size_t kShortest = 4;  // "#1" stands in too many texts

std::string_view text_behind(const elf::Section& section, uint64_t offset) {
  if (!section.has_data() || offset >= section.data.size()) return {};
  const std::string_view rest(reinterpret_cast<const char*>(section.data.data()) + offset,
                              section.data.size() - offset);
  return rest.substr(0, rest.find('\0'));
}

std::string_view self_description(const elf::ElfObject& object) {
  if (const elf::Section* info = object.maybe_section(".modinfo")) {
    constexpr std::string_view kKey = "vermagic=";
    for (uint64_t at = 0; at < info->data.size();) {
      const std::string_view entry = text_behind(*info, at);
      if (entry.starts_with(kKey)) return entry.substr(kKey.size());
      at += entry.size() + 1;
    }
  }
  for (const elf::Symbol& s : object.symbols()) {
    if (s.name == "linux_banner" && s.is_defined()) return text_behind(*s.section, s.value - s.section->address);
  }
  return {};
}

std::vector<std::string> words_of(std::string_view text) {
  std::istringstream stream{std::string(text)};
  std::vector<std::string> result;
  for (std::string word; stream >> word;) result.push_back(word);
  return result;
}

}  // namespace

BuildWords::BuildWords(const elf::ElfObject& before, const elf::ElfObject& after) {
  const std::vector<std::string> a = words_of(self_description(before)), b = words_of(self_description(after));
  if (a.size() != b.size()) return;
  for (size_t i = 0; i < a.size(); ++i) {
    const bool has_number = a[i].find_first_of("0123456789") != std::string::npos;
    if (a[i] != b[i] && a[i].size() >= kShortest && has_number) words_.emplace_back(a[i], b[i]);
  }
  std::stable_sort(words_.begin(), words_.end(),
                   [](const auto& x, const auto& y) { return x.first.size() > y.first.size(); });
}

bool BuildWords::explain(const std::string& before, const std::string& after) const {
  std::string text = before;
  for (const auto& [from, to] : words_) {
    for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
      text.replace(at, from.size(), to);
  }
  return text == after && text != before;
}

}  // namespace klp::diff
