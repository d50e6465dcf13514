#include "diff/plan_strings.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "support/error.h"

namespace klp::diff {

void lay_out_strings(PatchObject& object, size_t section, const std::vector<StringUse>& uses, const arch::Arch& arch) {
  std::map<std::pair<uint32_t, uint64_t>, uint64_t> places;  // by section and start
  std::map<std::pair<uint32_t, uint64_t>, const Reference*> needed;
  for (const StringUse& use : uses)
    needed.emplace(std::pair{use.reference.string_section->index, use.reference.string_start}, &use.reference);
  PlanSection& strings = object.sections[section];
  auto& data = strings.data;
  uint32_t last_section = 0;
  uint64_t copied_to = 0;  // in the object's section
  for (const auto& [key, reference] : needed) {
    const elf::Section& from = *reference->string_section;
    if (key.first != last_section || key.second > copied_to) {
      const uint64_t align = std::max<uint64_t>(from.addralign, 1);
      check(align <= kMaxAlignment, "{}: alignment {:#x} is more than a module can have", from.name, align);
      strings.addralign = std::max(strings.addralign, align);
      while (data.size() % align != key.second % align) data.push_back(std::byte{0});
      copied_to = key.second;
      last_section = key.first;
    }
    places[key] = data.size() - (copied_to - key.second);
    const uint64_t end = key.second + reference->string.size() + std::max<uint64_t>(from.entsize, 1);
    if (end <= copied_to) continue;  // the end of the string before
    const auto rest = from.data.subspan(copied_to, end - copied_to);
    data.insert(data.end(), rest.begin(), rest.end());
    copied_to = end;
  }
  std::map<size_t, std::unordered_map<uint64_t, PlanRelocation*>> by_offset;
  for (const StringUse& use : uses) {
    auto& waiting = by_offset[use.section];
    if (!waiting.empty()) continue;
    for (PlanRelocation& r : object.sections[use.section].relocations) waiting.emplace(r.offset, &r);
  }
  for (const StringUse& use : uses) {
    const uint64_t place = places.at({use.reference.string_section->index, use.reference.string_start});
    const auto found = by_offset[use.section].find(use.offset);
    check(found != by_offset[use.section].end(), "{}+{:#x}: a reference to a string is gone",
          object.sections[use.section].name, use.offset);
    PlanRelocation& r = *found->second;
    r.addend = arch.addend_for(r.type, static_cast<int64_t>(place) + use.reference.offset, use.reference.bias);
  }
}

}  // namespace klp::diff
