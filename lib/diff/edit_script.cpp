#include "diff/edit_script.h"

#include <algorithm>
#include <tuple>

namespace klp::diff {
namespace {

using Pairs = std::vector<std::pair<size_t, size_t>>;

constexpr ptrdiff_t kMostEdits = 1000;  // per step: 2 MB of rows

/// One step: from (x0, y0) as far as kMostEdits insertions and deletions lead.
class Step {
 public:
  Step(const std::vector<unsigned>& a, const std::vector<unsigned>& b, size_t x0, size_t y0)
      : a_(a),
        b_(b),
        x0_(x0),
        y0_(y0),
        n_(static_cast<ptrdiff_t>(a.size() - x0)),
        m_(static_cast<ptrdiff_t>(b.size() - y0)) {}

  /// Appends the pairs; where it came to.
  std::pair<size_t, size_t> run(Pairs& pairs) {
    const ptrdiff_t most = std::min(n_ + m_, kMostEdits);
    for (ptrdiff_t d = 0; d <= most; ++d) {
      extend(d);
      const ptrdiff_t k = n_ - m_;  // of the end
      if (k >= -d && k <= d && (k + d) % 2 == 0 && reached(d, k) == n_) return back(d, k, pairs);
    }
    ptrdiff_t best = 0, best_sum = -1;
    for (ptrdiff_t k = -most; k <= most; k += 2) {
      const ptrdiff_t x = reached(most, k), y = x - k;
      if (x > n_ || y > m_ || x < 0 || y < 0 || x + y <= best_sum) continue;
      best_sum = x + y;
      best = k;
    }
    return best_sum <= 0 ? std::pair(a_.size(), b_.size()) : back(most, best, pairs);
  }

 private:
  ptrdiff_t reached(ptrdiff_t d, ptrdiff_t k) const {
    return rows_[static_cast<size_t>(d)][static_cast<size_t>(k + d)];
  }

  /// The diagonal that a path of d edits to diagonal k came from.
  ptrdiff_t from(ptrdiff_t d, ptrdiff_t k) const {
    const bool down = k == -d || (k != d && reached(d - 1, k - 1) < reached(d - 1, k + 1));
    return down ? k + 1 : k - 1;
  }

  void extend(ptrdiff_t d) {
    std::vector<ptrdiff_t> row(static_cast<size_t>(2 * d + 1), 0);
    for (ptrdiff_t k = -d; k <= d; k += 2) {
      ptrdiff_t x = 0;
      if (d > 0) {
        const ptrdiff_t source = from(d, k);
        x = reached(d - 1, source) + (source < k ? 1 : 0);
      }
      while (x < n_ && x - k >= 0 && x - k < m_ &&
             a_[x0_ + static_cast<size_t>(x)] == b_[y0_ + static_cast<size_t>(x - k)])
        ++x;
      row[static_cast<size_t>(k + d)] = x;
    }
    rows_.push_back(std::move(row));
  }

  std::pair<size_t, size_t> back(ptrdiff_t d, ptrdiff_t k, Pairs& pairs) const {
    ptrdiff_t x = reached(d, k);
    const std::pair<size_t, size_t> end{x0_ + static_cast<size_t>(x), y0_ + static_cast<size_t>(x - k)};
    const size_t first = pairs.size();
    for (; d >= 0; --d) {
      const ptrdiff_t source = d > 0 ? from(d, k) : 0;
      const ptrdiff_t start = d > 0 ? reached(d - 1, source) + (source < k ? 1 : 0) : 0;
      for (; x > start; --x) pairs.emplace_back(x0_ + static_cast<size_t>(x - 1), y0_ + static_cast<size_t>(x - 1 - k));
      if (d > 0) x = reached(d - 1, source);
      k = source;
    }
    std::reverse(pairs.begin() + static_cast<ptrdiff_t>(first), pairs.end());
    return end;
  }

  const std::vector<unsigned>&a_, &b_;
  size_t x0_, y0_;
  ptrdiff_t n_, m_;
  std::vector<std::vector<ptrdiff_t>> rows_;  ///< how far in `a` d edits lead on each diagonal
};

}  // namespace

Pairs common_elements(const std::vector<unsigned>& a, const std::vector<unsigned>& b) {
  Pairs pairs;
  size_t x = 0, y = 0, tail = 0;
  for (; x < std::min(a.size(), b.size()) && a[x] == b[x]; ++x) pairs.emplace_back(x, x);
  y = x;
  while (tail < std::min(a.size(), b.size()) - x && a[a.size() - 1 - tail] == b[b.size() - 1 - tail]) ++tail;
  const std::vector<unsigned> middle_a(a.begin(), a.end() - static_cast<ptrdiff_t>(tail));
  const std::vector<unsigned> middle_b(b.begin(), b.end() - static_cast<ptrdiff_t>(tail));
  while (x < middle_a.size() && y < middle_b.size()) std::tie(x, y) = Step(middle_a, middle_b, x, y).run(pairs);
  for (size_t i = tail; i > 0; --i) pairs.emplace_back(a.size() - i, b.size() - i);
  return pairs;
}

}  // namespace klp::diff
