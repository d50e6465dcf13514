// compare_units(): two relocatable objects, compared with the engine of `build`.
#include <algorithm>

#include "diff/compare.h"
#include "diff/image_compare.h"
#include "diff/image_noise.h"
#include "diff/stable_name.h"
#include "elf/debug_info.h"
#include "support/error.h"

namespace klp::diff {
namespace {

/// Code is compared without debug information that cannot be read: static locals are then told apart by their uses.
elf::DebugInfo read_debug(const elf::ElfObject& object, ImageDifference& result) {
  try {
    return elf::read_debug_info(object);
  } catch (const Error& e) {
    result.not_compared.push_back(fmt::format("debug information of {}: {}", object.name(), e.what()));
    return {};
  }
}

/// "is inlined now, into a, b" when debug information says so.
std::string inlining(const elf::DebugInfo& debug, std::string_view function, std::string_view what) {
  std::string text;
  for (const auto& [into, calls] : debug.inlined) {
    const bool is = std::any_of(calls.begin(), calls.end(), [&](const auto& call) { return call.name == function; });
    if (is) text += fmt::format("{} {}", text.empty() ? what : ",", into);
  }
  return text;
}

size_t symbol_of(const Piece* piece) {
  return piece != nullptr && piece->symbol != nullptr ? piece->symbol->index : 0;
}

/// A function that went to a section of another kind, .init.text for example, was not paired: it is both gone and new.
void join_moved(const Comparison& comparison, const Pieces& original, const Pieces& patched,
                std::vector<ImageChange>& functions) {
  for (ImageChange& added : functions) {
    if (added.kind != ImageChange::Kind::added) continue;
    const auto removed = std::find_if(functions.begin(), functions.end(), [&](const ImageChange& c) {
      return c.kind == ImageChange::Kind::removed && c.name == added.name;
    });
    const auto before = original.named(added.name), after = patched.named(added.name);
    if (removed == functions.end() || before.size() != 1 || after.size() != 1) continue;
    const std::string from = memory_kind(before[0]->section->name), to = memory_kind(after[0]->section->name);
    added.kind = ImageChange::Kind::changed;
    added.old_size = removed->old_size;
    added.reason = fmt::format("moved from {} to {}", from, to);
    if (const auto difference = comparison.difference(*before[0], *after[0])) added.reason += "; " + *difference;
    functions.erase(removed);
    return join_moved(comparison, original, patched, functions);
  }
}

/// The pointer to a function that runs at boot: its name says which and when, and carries a counter and a line.
bool is_initcall(std::string_view name) {
  return name.starts_with("__initcall__kmod_");
}

bool has_initcall(const Pieces& pieces, std::string_view like) {
  const std::string name = stable_name(like);
  return std::any_of(pieces.all().begin(), pieces.all().end(), [&](const Piece& p) {
    return p.symbol != nullptr && is_initcall(p.name()) && stable_name(p.name()) == name;
  });
}

void add_variables(const Pieces& original, const Pieces& patched, const Correlation& correlation,
                   const ChangeSet& changes, std::vector<ImageChange>& out) {
  for (const DataChange& c : changes.data) {
    if (is_initcall(c.patched->name()) && stable_name(c.original->name()) == stable_name(c.patched->name())) continue;
    out.push_back({ImageChange::Kind::changed, std::string(c.patched->name()), "", c.original->size, c.patched->size,
                   c.reason, 0, 0, memory_kind(c.original->section->name)});
  }
  // The engine does not ask for what no function uses; who compares two builds does.
  const auto is_named = [](const Piece& p) {
    return p.kind == PieceKind::object && p.symbol != nullptr && !is_private_static(p) && !is_constant_local(p);
  };
  for (const Piece& piece : original.all()) {
    if (is_named(piece) && correlation.patched_of(&piece) == nullptr &&
        !(is_initcall(piece.name()) && has_initcall(patched, piece.name())))
      out.push_back({ImageChange::Kind::removed, std::string(piece.name()), "", piece.size, 0, ""});
  }
  for (const Piece& piece : patched.all()) {
    if (is_named(piece) && correlation.original_of(&piece) == nullptr &&
        !(is_initcall(piece.name()) && has_initcall(original, piece.name())))
      out.push_back({ImageChange::Kind::added, std::string(piece.name()), "", 0, piece.size, ""});
  }
}

}  // namespace

ImageDifference compare_units(const elf::ElfObject& before, const elf::ElfObject& after) {
  check_machines(before, after);
  const elf::Disassembler disassembler(before.machine());
  const Pieces original(before, disassembler), patched(after, disassembler);
  const Tables original_tables(original, {}), patched_tables(patched, {});
  ImageDifference result;
  const elf::DebugInfo debug_a = read_debug(before, result), debug_b = read_debug(after, result);
  const Correlation correlation = correlate(original, patched, debug_a, debug_b);
  Comparison comparison(original, patched, correlation, original_tables, patched_tables);
  comparison.take_near_lines();
  comparison.learn_lines();
  const ChangeSet changes = compare(original, patched, correlation, comparison, patched_tables);
  const auto add = [&](ImageChange::Kind kind, const Piece* a, const Piece* b, const std::string& reason) {
    const Piece& named = b != nullptr ? *b : *a;
    result.functions.push_back({kind,
                                std::string(named.name()),
                                "",
                                a != nullptr ? a->size : 0,
                                b != nullptr ? b->size : 0,
                                reason,
                                symbol_of(a),
                                symbol_of(b),
                                memory_kind(named.section->name),
                                a != nullptr ? std::optional(original.has_ftrace_site(*a)) : std::nullopt,
                                {}});
  };
  for (const FunctionChange& c : changes.functions) {
    const bool added = c.kind == FunctionChange::Kind::added;
    add(added ? ImageChange::Kind::added : ImageChange::Kind::changed, c.original, c.patched,
        added ? inlining(debug_a, c.patched->name(), "was inlined before, into") : c.reason);
  }
  for (const Piece* piece : changes.removed_functions)
    add(ImageChange::Kind::removed, piece, nullptr, inlining(debug_b, piece->name(), "is inlined now, into"));
  for (const auto& [piece, text] : changes.moved)
    add(ImageChange::Kind::changed, correlation.original_of(piece), piece, "moved " + text);
  join_moved(comparison, original, patched, result.functions);
  for (const Piece& piece : patched.all()) {
    result.compared += piece.kind == PieceKind::function ? 1 : 0;
    result.compared_variables += piece.kind == PieceKind::object ? 1 : 0;
  }
  add_variables(original, patched, correlation, changes, result.variables);
  for (const Piece* piece : changes.only_lines) {
    ++result.noise[std::string(kLineNoise)];
    result.quiet[std::string(kLineNoise)].functions.push_back(
        {ImageChange::Kind::changed, std::string(piece->name()), "", piece->size, piece->size, "line numbers",
         symbol_of(correlation.original_of(piece)), symbol_of(piece)});
  }
  sort_by_weight(result.functions);
  sort_by_weight(result.variables);
  return result;
}

}  // namespace klp::diff
