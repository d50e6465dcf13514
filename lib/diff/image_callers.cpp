#include "diff/image_callers.h"

#include <algorithm>
#include <map>
#include <unordered_map>

namespace klp::diff {
namespace {

constexpr size_t kTold = 4;

/// The functions that a digest has as targets of direct calls and jumps: its items "c0 NAME" and "j0 NAME", each with
/// its length behind it.
template <typename See>
void each_callee(std::string_view digest, See see) {
  for (size_t at = digest.find("0 "); at != std::string_view::npos; at = digest.find("0 ", at + 1)) {
    if (at == 0 || (digest[at - 1] != 'c' && digest[at - 1] != 'j')) continue;
    const size_t end = digest.find('\n', at);
    if (end == std::string_view::npos || end + 1 >= digest.size()) return;
    if (digest[end + 1] == static_cast<char>(end - (at - 1))) see(digest.substr(at + 2, end - at - 2));
  }
}

}  // namespace

void add_callers(const ImageForm& form, const std::vector<FormText>& digests, std::vector<ImageChange>& changes) {
  std::unordered_map<std::string_view, ImageChange*> wanted;
  for (ImageChange& c : changes) {
    if (c.kind == ImageChange::Kind::changed && c.traceable && !*c.traceable) wanted.emplace(c.name, &c);
  }
  if (wanted.empty()) return;
  std::map<std::string_view, size_t> bearers;
  for (const ImageFunction& f : form.functions()) ++bearers[f.name];
  for (size_t i = 0; i < digests.size(); ++i) {
    const ImageFunction& caller = form.functions()[i];
    each_callee(digests[i].text, [&](std::string_view callee) {
      const auto found = wanted.find(callee);
      if (found == wanted.end() || bearers[callee] != 1 || caller.name == callee) return;
      std::vector<std::string>& callers = found->second->callers;
      const bool known = std::find(callers.begin(), callers.end(), caller.name) != callers.end();
      if (!known && callers.size() < kTold && form.traceable(caller).value_or(false)) callers.push_back(caller.name);
    });
  }
}

}  // namespace klp::diff
