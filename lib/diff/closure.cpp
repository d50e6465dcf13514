#include "diff/closure.h"

#include <algorithm>
#include <unordered_map>

#include "support/bytes.h"
#include "support/error.h"

namespace klp::diff {
namespace {

std::string edge_label(const Reference& reference, bool in_table) {
  if (in_table) return "in a table entry of";
  if (reference.branch) return "called by";
  return reference.piece->kind == PieceKind::function ? "address taken by" : "used by";
}

class GraphMaker {
 public:
  GraphMaker(const Pieces& pieces, const Tables& tables, const ReferencePolicy& policy)
      : pieces_(pieces), tables_(tables), policy_(policy), graph_(pieces.all().size()) {
    for (const Piece& piece : pieces.all()) numbers_.emplace(&piece, numbers_.size());
    for (const Piece& piece : pieces.all()) add_piece(piece);
  }

  size_t number(const Piece* piece) const { return numbers_.at(piece); }
  const ReferenceGraph& graph() const { return graph_; }

 private:
  void add_piece(const Piece& piece) {
    // Tables are reached through their owners, replacements through the entries.
    if (tables_.is_table(*piece.section) || (pieces_.is_code(*piece.section) && piece.symbol == nullptr)) return;
    for (const elf::Relocation& r : pieces_.relocations(piece)) add_reference(piece, pieces_.resolve(r), false);
    if (piece.kind != PieceKind::function) return;
    for (const elf::Instruction& i : pieces_.code(piece)) {
      if (const auto outward = pieces_.outward_branch(piece, i)) add_reference(piece, *outward, false);
    }
    const Piece* leader = pieces_.leader(&piece);
    if (leader != &piece) graph_.add_edge(number(leader), number(&piece), "part of");
    for (const TableEntry& entry : tables_.of(&piece)) add_entry(piece, entry);
  }

  void add_entry(const Piece& owner, const TableEntry& entry) {
    const std::optional<Fragment> fragment = fragment_of(pieces_, entry);
    for (const elf::Relocation* r : relocations_of(entry)) {
      if (fragment && fragment->is_field(r->offset - entry.offset)) continue;
      add_reference(owner, pieces_.resolve(*r), true);
    }
    if (!fragment) return;
    for (const elf::Relocation* r : relocations_of(pieces_, *fragment))
      add_reference(owner, pieces_.resolve(*r), false);
  }

  void add_reference(const Piece& from, const Reference& reference, bool in_table) {
    if (reference.kind != Reference::Kind::piece || reference.piece == &from) return;
    const Decision decision = policy_.decide(reference, from, in_table);
    if (decision.treatment == Treatment::carry || decision.treatment == Treatment::direct) {
      graph_.add_edge(number(&from), number(decision.piece), edge_label(reference, in_table));
    }
  }

  const Pieces& pieces_;
  const Tables& tables_;
  const ReferencePolicy& policy_;
  ReferenceGraph graph_;
  std::unordered_map<const Piece*, size_t> numbers_;
};

/// A fixup ends with the jump back; jumps before it must stay inside.
uint64_t size_of_fixup(const Pieces& pieces, const Piece& piece, uint64_t start) {
  const auto& code = pieces.code(piece);
  const auto first = std::lower_bound(code.begin(), code.end(), start,
                                      [](const elf::Instruction& i, uint64_t offset) { return i.offset < offset; });
  for (const elf::Instruction& i : std::span(first, code.end())) {
    if (i.flow == elf::Flow::none) continue;
    if (i.flow == elf::Flow::jump) return i.offset + i.size - start;
    check(i.flow == elf::Flow::call || i.target >= static_cast<int64_t>(start),
          "{}+{:#x}: a fixup that jumps into another one is not understood", piece.section->name, i.offset);
  }
  fail("{}+{:#x}: a fixup that does not jump back", piece.section->name, start);
}

}  // namespace

std::vector<const elf::Relocation*> relocations_of(const TableEntry& entry) {
  std::vector<const elf::Relocation*> result;
  const auto& all = entry.section->relocations;
  auto at = std::lower_bound(all.begin(), all.end(), entry.offset,
                             [](const elf::Relocation& r, uint64_t v) { return r.offset < v; });
  for (; at != all.end() && at->offset < entry.offset + entry.size; ++at) result.push_back(&*at);
  return result;
}

namespace {

/// What a field of an entry points to; nothing when it has no relocation.
std::optional<Reference> target_of(const Pieces& pieces, const TableEntry& entry, uint64_t field) {
  for (const elf::Relocation* r : relocations_of(entry)) {
    if (r->offset == entry.offset + field) return pieces.resolve(*r);
  }
  return std::nullopt;
}

/// Bytes of the code that is copied over the entry's site and starts at `start`.
uint64_t size_of_replacement(const Pieces& pieces, const TableEntry& entry, const Reference& start) {
  const arch::TableLayout& layout = *entry.layout;
  if (!layout.lengths_are_ends)
    return static_cast<uint64_t>(slice(entry.section->data, entry.offset + layout.replacement->second, 1)[0]);
  const auto end = target_of(pieces, entry, layout.replacement->second);
  check(end && end->piece == start.piece && end->offset >= start.offset,
        "{}: entry at {:#x}: its code does not end where it starts", entry.section->name, entry.offset);
  return static_cast<uint64_t>(end->offset - start.offset);
}

}  // namespace

std::optional<Fragment> fragment_of(const Pieces& pieces, const TableEntry& entry) {
  const arch::TableLayout& layout = *entry.layout;
  if (!layout.replacement && !layout.outlined) return std::nullopt;
  Fragment result;
  result.copied_at_load = layout.replacement.has_value();
  result.field = result.copied_at_load ? layout.replacement->first : *layout.outlined;
  if (layout.lengths_are_ends) {
    result.end_field = layout.replacement->second;
  } else if (result.copied_at_load && size_of_replacement(pieces, entry, {}) == 0) {
    return result;
  }
  const std::optional<Reference> target = target_of(pieces, entry, result.field);
  check(target || !result.copied_at_load, "{}: entry at {:#x} has no replacement", entry.section->name, entry.offset);
  // A replacement may be a function of the kernel (__x86_indirect_alt_jmp_rax of 5.13), an exception may go on in the
  // function itself.
  if (!target || target->kind != Reference::Kind::piece || target->piece->symbol != nullptr) return std::nullopt;
  check(target->offset >= 0 && static_cast<uint64_t>(target->offset) <= target->piece->data().size(),
        "{}: entry at {:#x}: its code lies outside of any section", entry.section->name, entry.offset);
  result.piece = target->piece;
  result.start = static_cast<uint64_t>(target->offset);
  result.size = result.copied_at_load ? size_of_replacement(pieces, entry, *target)
                                      : size_of_fixup(pieces, *target->piece, result.start);
  check(result.size <= target->piece->data().size() - result.start, "{}: entry at {:#x}: its code has no end",
        entry.section->name, entry.offset);
  return result;
}

std::vector<const elf::Relocation*> relocations_of(const Pieces& pieces, const Fragment& fragment) {
  std::vector<const elf::Relocation*> result;
  if (fragment.size == 0) return result;
  const auto all = pieces.relocations(*fragment.piece);
  const uint64_t start = fragment.piece->offset + fragment.start;
  auto at = std::lower_bound(all.begin(), all.end(), start,
                             [](const elf::Relocation& r, uint64_t offset) { return r.offset < offset; });
  for (; at != all.end() && at->offset < start + fragment.size; ++at) result.push_back(&*at);
  return result;
}

std::vector<Carried> close(const Pieces& patched, const Tables& tables, const ReferencePolicy& policy,
                           const std::vector<Root>& roots) {
  const GraphMaker maker(patched, tables, policy);
  std::vector<size_t> numbers;
  std::unordered_map<size_t, const Root*> by_number;
  for (const Root& root : roots) {
    numbers.push_back(maker.number(root.piece));
    by_number[numbers.back()] = &root;
  }
  std::vector<Reached> reached = maker.graph().reachable_from(numbers);
  std::sort(reached.begin(), reached.end(), [](const Reached& a, const Reached& b) { return a.node < b.node; });
  std::vector<Carried> result;
  for (const Reached& r : reached) {
    const Piece* piece = &patched.all()[r.node];
    const Piece* parent = r.parent == r.node ? nullptr : &patched.all()[r.parent];
    if (parent == nullptr)
      result.push_back({piece, nullptr, by_number[r.node]->because, by_number[r.node]->further});
    else
      result.push_back({piece, parent, fmt::format("{} {}", r.label, parent->name())});
  }
  return result;
}

}  // namespace klp::diff
