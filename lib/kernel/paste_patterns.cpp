#include "kernel/paste_patterns.h"

#include <algorithm>
#include <unordered_map>

namespace klp::kernel {
namespace {

bool makes_names(const Token& token) {
  return token.kind == TokenKind::identifier || token.kind == TokenKind::number;
}

/// The names of the parameters, in order; the last of a variadic macro is __VA_ARGS__ or has a name.
std::vector<std::string_view> parameters_of(const std::vector<Token>& tokens) {
  std::vector<std::string_view> parameters;
  if (tokens.size() < 4 || !tokens[3].is("(") || tokens[3].space_before) return parameters;
  for (size_t i = 4, end = behind_group(tokens, 3); i + 1 < end; ++i) {
    if (tokens[i].is_identifier()) parameters.push_back(tokens[i].text);
    if (tokens[i].is("...") && !tokens[i - 1].is_identifier()) parameters.push_back("__VA_ARGS__");
  }
  return parameters;
}

}  // namespace

void PastePatterns::add(const Item& macro, NameTable& names) {
  const std::vector<Token>& tokens = macro.tokens;
  if (macro.names.empty()) return;
  const std::vector<std::string_view> parameters = parameters_of(tokens);
  for (size_t i = 3; i + 2 < tokens.size(); ++i) {
    if (!tokens[i + 1].is("##")) continue;
    Chain chain{names.number(macro.names.front()), {}};
    bool good = true;
    for (;; i += 2) {
      const auto parameter = std::find(parameters.begin(), parameters.end(), tokens[i].text);
      const bool gap = parameter != parameters.end();
      good = good && (gap || makes_names(tokens[i]));  // ", ## args" makes no name
      chain.parts.push_back(
          {gap ? std::string() : std::string(tokens[i].text), gap ? parameter - parameters.begin() : -1});
      if (i + 2 >= tokens.size() || !tokens[i + 1].is("##")) break;
    }
    if (!good) continue;
    chains_of_[chain.macro].push_back(chains_.size());
    chains_.push_back(std::move(chain));
  }
}

void PastePatterns::follow(const std::vector<DefinitionUses>& definitions) {
  std::map<Place, std::vector<Place>> from;  // an argument's words come from these arguments too
  std::set<uint32_t> macros;
  std::unordered_map<uint32_t, std::vector<const DefinitionUses*>> bodies;
  for (const DefinitionUses& d : definitions) {
    if (d.kind != ItemKind::macro || d.names.empty()) continue;
    bodies[d.names.front()].push_back(&d);
    for (const Argument& a : d.arguments) {
      if (a.parameter) from[{a.callee, a.index}].push_back({d.names.front(), a.word});
    }
  }
  // The arguments that words can flow from, beginning with the gaps.
  std::map<Place, std::vector<Place>> to;
  std::vector<Place> open;
  for (const Chain& chain : chains_) {
    for (const Part& part : chain.parts) {
      if (part.parameter >= 0) open.push_back({chain.macro, static_cast<uint32_t>(part.parameter)});
    }
  }
  while (!open.empty()) {
    const Place place = open.back();
    open.pop_back();
    if (!words_.try_emplace(place).second) continue;
    for (const Place& source : from[place]) {
      to[source].push_back(place);
      open.push_back(source);
    }
  }
  std::vector<std::pair<Place, uint32_t>> words;
  for (const DefinitionUses& d : definitions) {
    for (const Argument& a : d.arguments) {
      if (!a.parameter && words_.count({a.callee, a.index}) != 0) words.push_back({{a.callee, a.index}, a.word});
    }
  }
  while (!words.empty()) {
    const auto [place, word] = words.back();
    words.pop_back();
    if (!words_[place].insert(word).second) continue;
    for (const Place& next : to[place]) words.push_back({next, word});
    // A macro without parameters that comes there can be its text by then.
    if (const auto found = bodies.find(word); found != bodies.end()) {
      for (const DefinitionUses* body : found->second) {
        for (const uint32_t use : body->uses) words.push_back({place, use});
      }
    }
  }
  for (const auto& [place, all] : words_) {
    for (const auto& [macro, numbers] : chains_of_) {
      if (all.count(macro) != 0) pasting_[place].push_back(macro);
    }
  }
}

struct PastePatterns::Match {
  const Chain& chain;
  std::string_view word;
};

std::vector<uint32_t> PastePatterns::making(uint32_t name, const NameTable& names) const {
  constexpr int kDepth = 3;
  std::vector<uint32_t> result;
  for (const auto& [macro, numbers] : chains_of_) {
    if (std::any_of(numbers.begin(), numbers.end(),
                    [&](size_t i) { return makes(chains_[i], names.text(name), kDepth, names); }))
      result.push_back(macro);
  }
  return result;
}

bool PastePatterns::makes(const Chain& chain, std::string_view word, int depth, const NameTable& names) const {
  const auto may = [&](const Part& p) { return p.parameter >= 0 || word.find(p.word) != word.npos; };
  return depth > 0 && std::all_of(chain.parts.begin(), chain.parts.end(), may) &&
         fill({chain, word}, 0, word, depth, names);
}

bool PastePatterns::fill(const Match& match, size_t part, std::string_view rest, int depth,
                         const NameTable& names) const {
  if (part == match.chain.parts.size()) return rest.empty();
  const Part& p = match.chain.parts[part];
  if (p.parameter < 0)
    return rest.starts_with(p.word) && fill(match, part + 1, rest.substr(p.word.size()), depth, names);
  for (size_t size = 0; size <= rest.size(); ++size) {
    // One gap that is all of the word: then the word itself stands where the macro is used.
    if (size == match.word.size()) continue;
    if (fill(match, part + 1, rest.substr(size), depth, names) &&
        (size == 0 ||
         can_come({match.chain.macro, static_cast<uint32_t>(p.parameter)}, rest.substr(0, size), depth, names)))
      return true;
  }
  return false;
}

bool PastePatterns::can_come(Place place, std::string_view word, int depth, const NameTable& names) const {
  const auto words = words_.find(place);
  if (words == words_.end()) return false;
  if (const auto number = names.find(word); number && words->second.count(*number) != 0) return true;
  const auto pasting = pasting_.find(place);
  if (pasting == pasting_.end() || depth <= 1) return false;
  return std::any_of(pasting->second.begin(), pasting->second.end(), [&](uint32_t macro) {
    const std::vector<size_t>& chains = chains_of_.at(macro);
    return std::any_of(chains.begin(), chains.end(),
                       [&](size_t i) { return makes(chains_[i], word, depth - 1, names); });
  });
}

}  // namespace klp::kernel
