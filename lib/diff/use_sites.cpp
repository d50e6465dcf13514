#include "diff/use_sites.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "diff/correlation.h"

namespace klp::diff {
namespace {

using Candidates = std::map<const Piece*, std::set<const Piece*>>;

std::vector<const Piece*> users_of(const Pieces& pieces, const std::set<const Piece*>& variables) {
  std::vector<const Piece*> result;
  for (const Piece& piece : pieces.all()) {
    if (piece.symbol == nullptr) continue;
    const auto relocations = pieces.relocations(piece);
    if (std::any_of(relocations.begin(), relocations.end(),
                    [&](const elf::Relocation& r) { return variables.count(pieces.resolve(r).piece) != 0; }))
      result.push_back(&piece);
  }
  return result;
}

/// Same bytes, and relocations of the same types at the same places.
bool same_shape(const Pieces& original, const Pieces& patched, const Piece& a, const Piece& b) {
  if (a.size != b.size || !std::ranges::equal(a.data(), b.data())) return false;
  return std::ranges::equal(original.relocations(a), patched.relocations(b),
                            [&](const elf::Relocation& x, const elf::Relocation& y) {
                              return x.offset - a.offset == y.offset - b.offset && x.type == y.type;
                            });
}

class Evidence {
 public:
  Evidence(const Pieces& original, const Pieces& patched, const Correlation& known,
           const std::vector<OpenGroup>& groups)
      : original_(original), patched_(patched), known_(known) {
    std::set<const Piece*> open;
    for (const OpenGroup& group : groups) {
      for (const Piece* a : group.original) group_of_[a] = &group;
      for (const Piece* b : group.patched) group_of_[b] = &group;
      open.insert(group.original.begin(), group.original.end());
    }
    for (const Piece* a : users_of(original, open)) {
      const Piece* b = known.patched_of(a);
      if (b != nullptr) weigh(*a, *b);
    }
  }

  std::vector<UsePair> pairs(const std::vector<OpenGroup>& groups) const {
    std::vector<UsePair> result;
    for (const OpenGroup& group : groups) add_pairs(group, result);
    return result;
  }

 private:
  void weigh(const Piece& a, const Piece& b) {
    const auto ours = original_.relocations(a);
    const auto theirs = patched_.relocations(b);
    if (same_shape(original_, patched_, a, b)) {
      for (size_t i = 0; i < ours.size(); ++i)
        vote(original_.resolve(ours[i]), patched_.resolve(theirs[i]), proven_, proven_back_);
      return;
    }
    for (const elf::Relocation& x : ours) {
      const Piece* left = original_.resolve(x).piece;
      if (group_of_.count(left) == 0) continue;
      for (const elf::Relocation& y : theirs) {
        const Piece* right = patched_.resolve(y).piece;
        if (same_group(left, right)) likely_[left].insert(right);
      }
    }
  }

  void vote(const Reference& x, const Reference& y, Candidates& proven, Candidates& back) {
    if (!same_group(x.piece, y.piece) || x.offset != y.offset) return;
    proven[x.piece].insert(y.piece);
    back[y.piece].insert(x.piece);
  }

  bool same_group(const Piece* a, const Piece* b) const {
    const auto left = group_of_.find(a);
    const auto right = group_of_.find(b);
    return left != group_of_.end() && right != group_of_.end() && left->second == right->second;
  }

  void add_pairs(const OpenGroup& group, std::vector<UsePair>& result) const {
    std::set<const Piece*> left(group.original.begin(), group.original.end());
    std::set<const Piece*> right(group.patched.begin(), group.patched.end());
    for (const Piece* a : group.original) {
      const auto votes = proven_.find(a);
      if (votes == proven_.end()) continue;
      // Contradictions leave the variable open for good: the last rule below must not take it.
      const Piece* b = votes->second.size() == 1 ? *votes->second.begin() : nullptr;
      if (b == nullptr || proven_back_.at(b).size() != 1) return;
      result.push_back({a, b, "used at the same places"});
      left.erase(a);
      right.erase(b);
    }
    if (left.size() != 1 || right.size() != 1) return;
    const auto votes = likely_.find(*left.begin());
    if (votes != likely_.end() && votes->second.count(*right.begin()) != 0)
      result.push_back({*left.begin(), *right.begin(), "the only one its users have"});
  }

  const Pieces& original_;
  const Pieces& patched_;
  const Correlation& known_;
  std::unordered_map<const Piece*, const OpenGroup*> group_of_;
  Candidates proven_, proven_back_, likely_;
};

}  // namespace

std::vector<UsePair> pair_by_uses(const Pieces& original, const Pieces& patched, const Correlation& known,
                                  const std::vector<OpenGroup>& groups) {
  return Evidence(original, patched, known, groups).pairs(groups);
}

bool have_common_user(const Pieces& original, const Pieces& patched, const Correlation& known, const Piece& a,
                      const Piece& b) {
  const std::vector<const Piece*> users = users_of(patched, {&b});
  const auto known_user = [&](const Piece* user) {
    const Piece* patched_user = known.patched_of(user);
    return std::find(users.begin(), users.end(), patched_user) != users.end();
  };
  const std::vector<const Piece*> original_users = users_of(original, {&a});
  return std::any_of(original_users.begin(), original_users.end(), known_user);
}

}  // namespace klp::diff
