#include "support/source_changes.h"

#include <fmt/format.h>

namespace klp {

std::string place_of(const SourceDefinition& definition) {
  constexpr size_t kShown = 3;
  std::string text = definition.file;
  for (size_t i = 0; i < definition.changed.size() && i < kShown; ++i) {
    const auto& [first, last] = definition.changed[i];
    text += fmt::format("{}{}", i == 0 ? ":" : ",", first);
    if (last > first) text += fmt::format("-{}", last);
  }
  return definition.changed.size() > kShown ? text + ",..." : text;
}

}  // namespace klp
