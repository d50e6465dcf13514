// What two sequences have in common: E. Myers, An O(ND) Difference Algorithm and Its Variations (1986).
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace klp::diff {

/// Positions (in a, in b) of equal elements, ascending in both. As many as possible, but where thousands differ in a
/// row; so time and memory stay bounded.
std::vector<std::pair<size_t, size_t>> common_elements(const std::vector<unsigned>& a, const std::vector<unsigned>& b);

}  // namespace klp::diff
