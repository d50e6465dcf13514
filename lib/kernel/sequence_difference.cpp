// The greedy algorithm of Myers ("An O(ND) difference algorithm and its variations", 1986) between the common beginning
// and end.
#include <algorithm>

#include "kernel/header_change.h"

namespace klp::kernel {
namespace {

using Sequence = std::vector<uint64_t>;

class Comparison {
 public:
  Comparison(const Sequence& a, const Sequence& b) : a_(a), b_(b) {
    while (first_ < a.size() && first_ < b.size() && a[first_] == b[first_]) ++first_;
    while (last_ < a.size() - first_ && last_ < b.size() - first_ && a[a.size() - 1 - last_] == b[b.size() - 1 - last_])
      ++last_;
    n_ = static_cast<int>(a.size() - first_ - last_);
    m_ = static_cast<int>(b.size() - first_ - last_);
  }

  SequenceDifference run() {
    const int limit = std::min(n_ + m_, kMaxEdits);
    reach_.assign(static_cast<size_t>(2 * limit + 3), 0);
    for (int edits = 0; edits <= limit; ++edits) {
      trace_.push_back(reach_);
      for (int k = -edits; k <= edits; k += 2) {
        if (extend(edits, k, limit)) return walk_back(edits, k, limit);
      }
    }
    SequenceDifference all;
    for (int i = 0; i < n_; ++i) all.only_a.push_back(first_ + static_cast<size_t>(i));
    for (int i = 0; i < m_; ++i) all.only_b.push_back(first_ + static_cast<size_t>(i));
    return all;
  }

 private:
  static constexpr int kMaxEdits = 1000;  // 8 MB of traces

  static size_t slot(int k, int limit) { return static_cast<size_t>(k + limit + 1); }

  /// Whether diagonal k is reached from k + 1, by an element of b.
  static bool comes_down(const std::vector<int>& reach, int edits, int k, int limit) {
    return k == -edits || (k != edits && reach[slot(k - 1, limit)] < reach[slot(k + 1, limit)]);
  }

  /// True when diagonal k has come to the end of both.
  bool extend(int edits, int k, int limit) {
    int x = comes_down(reach_, edits, k, limit) ? reach_[slot(k + 1, limit)] : reach_[slot(k - 1, limit)] + 1;
    while (x < n_ && x - k < m_ && x - k >= 0 && at(a_, x) == at(b_, x - k)) ++x;
    reach_[slot(k, limit)] = x;
    return x >= n_ && x - k >= m_;
  }

  SequenceDifference walk_back(int edits, int k, int limit) const {
    SequenceDifference result;
    for (; edits > 0; --edits) {
      const std::vector<int>& reach = trace_[static_cast<size_t>(edits)];
      const bool down = comes_down(reach, edits, k, limit);
      const int from = down ? k + 1 : k - 1, x = reach[slot(from, limit)];
      if (down) {
        result.only_b.push_back(first_ + static_cast<size_t>(x - from));
      } else {
        result.only_a.push_back(first_ + static_cast<size_t>(x));
      }
      k = from;
    }
    std::reverse(result.only_a.begin(), result.only_a.end());
    std::reverse(result.only_b.begin(), result.only_b.end());
    return result;
  }

  uint64_t at(const Sequence& s, int index) const { return s[first_ + static_cast<size_t>(index)]; }

  const Sequence& a_;
  const Sequence& b_;
  size_t first_ = 0, last_ = 0;
  int n_ = 0, m_ = 0;
  std::vector<int> reach_;
  std::vector<std::vector<int>> trace_;
};

}  // namespace

SequenceDifference compare_sequences(const Sequence& a, const Sequence& b) {
  return Comparison(a, b).run();
}

}  // namespace klp::kernel
