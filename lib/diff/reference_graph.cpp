#include "diff/reference_graph.h"

#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/breadth_first_search.hpp>

namespace klp::diff {
namespace {

struct EdgeLabel {
  std::string text;
};
using Graph = boost::adjacency_list<boost::vecS, boost::vecS, boost::directedS, boost::no_property, EdgeLabel>;

/// Notes each node at discovery, with the edge that led there.
class Recorder : public boost::default_bfs_visitor {
 public:
  explicit Recorder(std::vector<Reached>& found) : found_(found) {}
  void tree_edge(const Graph::edge_descriptor& edge, const Graph& graph) const {
    const size_t target = boost::target(edge, graph);
    const size_t source = boost::source(edge, graph);
    if (source + 1 == boost::num_vertices(graph)) {
      found_.push_back({target, target, {}});
    } else {
      found_.push_back({target, source, graph[edge].text});
    }
  }

 private:
  std::vector<Reached>& found_;
};

}  // namespace

struct ReferenceGraph::State {
  explicit State(size_t nodes) : graph(nodes + 1) {}
  Graph graph;  // the last vertex is the common source of all roots
};

ReferenceGraph::ReferenceGraph(size_t nodes) : state_(std::make_unique<State>(nodes)) {}
ReferenceGraph::~ReferenceGraph() = default;
ReferenceGraph::ReferenceGraph(ReferenceGraph&&) noexcept = default;

void ReferenceGraph::add_edge(size_t from, size_t to, std::string label) {
  boost::add_edge(from, to, EdgeLabel{std::move(label)}, state_->graph);
}

std::vector<Reached> ReferenceGraph::reachable_from(const std::vector<size_t>& roots) const {
  Graph graph = state_->graph;
  const size_t source = boost::num_vertices(graph) - 1;
  for (const size_t root : roots) boost::add_edge(source, root, EdgeLabel{}, graph);
  std::vector<Reached> found;
  boost::breadth_first_search(graph, source, boost::visitor(Recorder(found)));
  return found;
}

}  // namespace klp::diff
