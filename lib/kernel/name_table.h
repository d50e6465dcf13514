// Identifiers as numbers.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace klp::kernel {

class NameTable {
 public:
  uint32_t number(std::string_view name) {
    const auto found = numbers_.find(name);
    if (found != numbers_.end()) return found->second;
    texts_.emplace_back(name);
    const uint32_t number = static_cast<uint32_t>(texts_.size() - 1);
    numbers_.emplace(texts_.back(), number);
    return number;
  }

  std::string_view text(uint32_t number) const { return texts_[number]; }

  size_t size() const { return texts_.size(); }

  std::optional<uint32_t> find(std::string_view name) const {
    const auto found = numbers_.find(name);
    return found == numbers_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  std::deque<std::string> texts_;  // never moved: the keys point into it
  std::unordered_map<std::string_view, uint32_t> numbers_;
};

}  // namespace klp::kernel
