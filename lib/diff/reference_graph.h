// Who refers to whom, and what is reachable: the only user of Boost.Graph.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace klp::diff {

/// A node that is reached: over which edge, from which node. Roots have parent == node.
struct Reached {
  size_t node = 0;
  size_t parent = 0;
  std::string label;
};

class ReferenceGraph {
 public:
  explicit ReferenceGraph(size_t nodes);
  ~ReferenceGraph();
  ReferenceGraph(ReferenceGraph&&) noexcept;

  /// An edge; `label` says what kind of reference it is, for the chain of reasons.
  void add_edge(size_t from, size_t to, std::string label);

  /// Everything reachable from the roots, roots included, breadth first: chains of parents are the shortest ones.
  /// Deterministic.
  std::vector<Reached> reachable_from(const std::vector<size_t>& roots) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace klp::diff
