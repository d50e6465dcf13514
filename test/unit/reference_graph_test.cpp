// Reachability against a naive fixpoint on random graphs.
#include "diff/reference_graph.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <random>
#include <set>

namespace klp::diff {

TEST_CASE("the closure equals a naive fixpoint on random graphs") {
  const unsigned seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 1000; ++round) {
    const size_t nodes = 1 + random() % 30;
    ReferenceGraph graph(nodes);
    std::vector<std::pair<size_t, size_t>> edges(random() % 60);
    for (auto& [from, to] : edges) {
      from = random() % nodes;
      to = random() % nodes;
      graph.add_edge(from, to, "edge");
    }
    std::vector<size_t> roots(random() % 4);
    for (size_t& root : roots) root = random() % nodes;

    std::set<size_t> expected(roots.begin(), roots.end());
    for (size_t before = expected.size() + 1; before != expected.size();) {
      before = expected.size();
      for (const auto& [from, to] : edges) {
        if (expected.count(from) != 0) expected.insert(to);
      }
    }
    std::set<size_t> reached;
    for (const Reached& r : graph.reachable_from(roots)) {
      CHECK(reached.insert(r.node).second);
      // A parent was reached before its child: chains of reasons end.
      CHECK(reached.count(r.parent) == 1);
      const bool is_root = std::find(roots.begin(), roots.end(), r.node) != roots.end();
      CHECK((r.parent == r.node) == is_root);
    }
    REQUIRE(reached == expected);
  }
}

TEST_CASE("chains are the shortest ones") {
  ReferenceGraph graph(4);
  graph.add_edge(0, 1, "long");
  graph.add_edge(1, 2, "long");
  graph.add_edge(2, 3, "long");
  graph.add_edge(0, 3, "short");
  for (const Reached& r : graph.reachable_from({0})) {
    if (r.node == 3) CHECK(r.label == "short");
  }
}

}  // namespace klp::diff
