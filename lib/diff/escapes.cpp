#include "diff/escapes.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "support/error.h"

namespace klp::diff {
namespace {

using Fate = elf::Disassembler::AddressFate;

class Finder {
 public:
  Finder(const Pieces& patched, const ReferencePolicy& policy) : patched_(patched), policy_(policy) {}

  bool stored() const { return stored_; }

  void look_at(const Piece& function, const std::string& object, const std::string& unit, Findings& findings) {
    for (const elf::Relocation& r : patched_.relocations(function)) {
      const Reference reference = patched_.resolve(r);
      if (reference.kind != Reference::Kind::piece || reference.branch || reference.piece == &function) continue;
      const Decision decision = policy_.decide(reference, function, false);
      if (decision.treatment != Treatment::carry || !matters(*decision.piece)) continue;
      const uint64_t field = r.offset - function.offset;
      const Fate fate = patched_.disassembler().fate_of_address(function.data(), start_of(function, field),
                                                                field + patched_.arch().field_kind(r).width);
      if (fate.kind == Fate::Kind::not_taken) continue;
      if (is_harmless(function, *decision.piece, fate)) continue;
      if (fate.kind != Fate::Kind::passed && fate.kind != Fate::Kind::on_stack) stored_ = true;
      if (!told_.emplace(&function, decision.piece, fate.kind).second) continue;
      Finding finding = describe(function, *decision.piece, fate);
      finding.object = object;
      finding.unit = unit;
      findings.add(finding);
    }
  }

 private:
  /// Functions, variables, and constants that hold addresses themselves (ops tables).
  bool matters(const Piece& piece) const {
    if (is_private_static(piece) || piece.symbol == nullptr || policy_.is_anew(piece)) return false;
    if (piece.section->name.starts_with(".data..percpu")) return false;
    return piece.kind == PieceKind::function || piece.section->is_writable() || !patched_.relocations(piece).empty();
  }

  uint64_t start_of(const Piece& function, uint64_t field) const {
    const auto& code = patched_.code(function);
    const auto after = std::upper_bound(code.begin(), code.end(), field,
                                        [](uint64_t value, const elf::Instruction& i) { return value < i.offset; });
    return after == code.begin() ? 0 : (after - 1)->offset;
  }

  std::string callee(const Piece& function, const Fate& fate) const {
    if (fate.kind != Fate::Kind::passed) return {};
    for (const elf::Relocation& r : patched_.relocations(function)) {
      const uint64_t at = r.offset - function.offset;
      if (at >= fate.at && at < fate.at + 8) {
        const Reference target = patched_.resolve(r);
        if (target.kind == Reference::Kind::piece) return std::string(target.piece->name());
        if (target.kind == Reference::Kind::external) return std::string(target.symbol->name);
      }
    }
    return "a function pointer";
  }

  /// The address of a variable is passed about and used as a base all the time (locks, lists, arrays). Of functions,
  /// these calls keep nothing: they call back before they return (kernel/livepatch/shadow.c, lib/sort.c).
  bool is_harmless(const Piece& function, const Piece& target, const Fate& fate) const {
    if (fate.kind == Fate::Kind::stored) return false;
    if (target.kind != PieceKind::function && target.section->is_writable()) return true;
    const std::string name = callee(function, fate);
    return name.starts_with("klp_shadow_") || name == "sort" || name == "sort_r" || name == "list_sort" ||
           name == "bsearch" || name == "stop_machine" || name.starts_with("on_each_cpu");
  }

  Finding describe(const Piece& function, const Piece& target, const Fate& fate) const {
    Finding finding;
    finding.severity = Severity::warning;
    finding.code = "escaping-address";
    finding.symbol = std::string(function.name());
    const char* what = target.kind == PieceKind::function ? "function" : "variable";
    if (fate.kind == Fate::Kind::stored) {
      finding.message = fmt::format(
          "stores the address of the new {} {} at +{:#x}, which would dangle once the module is "
          "unloaded: the module stays loaded for good",
          what, target.name(), fate.at);
      finding.hint = "store the address of an existing function if the module is to be unloadable";
    } else {
      const std::string to = callee(function, fate);
      finding.message =
          fmt::format("{} the address of the new {} {}", to.empty() ? "takes" : "passes to " + to, what, target.name());
      finding.hint = "make sure that nothing keeps it when the livepatch is unloaded or replaced";
    }
    return finding;
  }

  const Pieces& patched_;
  const ReferencePolicy& policy_;
  std::set<std::tuple<const Piece*, const Piece*, Fate::Kind>> told_;
  bool stored_ = false;
};

}  // namespace

bool find_escapes(const Pieces& patched, const ReferencePolicy& policy, const std::vector<Carried>& carried,
                  const std::string& object, const std::string& unit, Findings& findings) {
  Finder finder(patched, policy);
  for (const Carried& c : carried) {
    if (c.piece->kind == PieceKind::function) finder.look_at(*c.piece, object, unit, findings);
  }
  return finder.stored();
}

}  // namespace klp::diff
