#include "diff/reference_graph.h"

#include <algorithm>
#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/breadth_first_search.hpp>
#include <boost/pending/queue.hpp>

namespace klp::diff {
namespace {

struct EdgeLabel {
  std::string text;
};
using Graph = boost::adjacency_list<boost::vecS, boost::vecS, boost::directedS, boost::no_property, EdgeLabel>;

/// Notes each node when it is first reached, with the edge that led there.
class Recorder : public boost::default_bfs_visitor {
 public:
  explicit Recorder(std::vector<Reached>& found) : found_(found) {}
  void tree_edge(const Graph::edge_descriptor& edge, const Graph& graph) const {
    found_.push_back({boost::target(edge, graph), boost::source(edge, graph), graph[edge].text});
  }

 private:
  std::vector<Reached>& found_;
};

}  // namespace

struct ReferenceGraph::State {
  explicit State(size_t nodes) : graph(nodes) {}
  Graph graph;
};

ReferenceGraph::ReferenceGraph(size_t nodes) : state_(std::make_unique<State>(nodes)) {}
ReferenceGraph::~ReferenceGraph() = default;
ReferenceGraph::ReferenceGraph(ReferenceGraph&&) noexcept = default;

void ReferenceGraph::add_edge(size_t from, size_t to, std::string label) {
  boost::add_edge(from, to, EdgeLabel{std::move(label)}, state_->graph);
}

std::vector<Reached> ReferenceGraph::reachable_from(const std::vector<size_t>& roots) const {
  std::vector<size_t> sources = roots;
  std::sort(sources.begin(), sources.end());
  sources.erase(std::unique(sources.begin(), sources.end()), sources.end());
  std::vector<Reached> found;
  for (const size_t source : sources) found.push_back({source, source, {}});
  std::vector<boost::default_color_type> colors(boost::num_vertices(state_->graph), boost::white_color);
  boost::queue<size_t> queue;
  boost::breadth_first_visit(
      state_->graph, sources.begin(), sources.end(), queue, Recorder(found),
      boost::make_iterator_property_map(colors.begin(), boost::get(boost::vertex_index, state_->graph)));
  return found;
}

}  // namespace klp::diff
