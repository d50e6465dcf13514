#include "diff/correlation.h"

#include <algorithm>
#include <array>
#include <vector>

#include "support/log.h"

namespace klp::diff {
namespace {

/// `n.12` -> `n`; a name without such an ending stays.
std::string_view without_number(std::string_view name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || dot == 0 || dot + 1 == name.size()) return name;
  if (name.find_first_not_of("0123456789", dot + 1) != std::string_view::npos) return name;
  return name.substr(0, dot);
}

/// Functions match by name; clones (f.isra.0, f.constprop.2) also when only their number differs.
std::string clone_key(const Piece& piece) {
  return std::string(without_number(piece.symbol->name));
}

/// The instructions that use a variable, without its address, sorted: a hint which of several variables it is.
std::vector<std::string> uses_of(const Pieces& pieces, const Piece& variable) {
  std::vector<std::string> result;
  for (const Piece& piece : pieces.all()) {
    if (piece.kind != PieceKind::function) continue;
    for (const elf::Relocation& r : pieces.relocations(piece)) {
      const Reference reference = pieces.resolve(r);
      if (reference.piece != &variable) continue;
      const uint64_t at = r.offset - piece.offset;
      const auto& code = pieces.code(piece);
      const auto after = std::upper_bound(code.begin(), code.end(), at,
                                          [](uint64_t value, const elf::Instruction& i) { return value < i.offset; });
      const elf::Instruction& user = *(after - 1);
      const auto bytes = piece.data().subspan(user.offset, user.size);
      std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      text.replace(at - user.offset, pieces.arch().field_kind(r).width, std::to_string(reference.offset));
      result.push_back(std::move(text));
    }
  }
  std::sort(result.begin(), result.end());
  return result;
}

}  // namespace

bool is_numbered_static(const Piece& piece) {
  return piece.kind == PieceKind::object && piece.symbol != nullptr && piece.symbol->is_local() &&
         without_number(piece.symbol->name) != piece.symbol->name;
}

bool is_private_static(const Piece& piece) {
  if (piece.symbol == nullptr || !piece.symbol->is_local() || piece.kind != PieceKind::object) return false;
  if (piece.symbol->name.starts_with("__UNIQUE_ID_")) return true;
  static constexpr std::array<std::string_view, 11> kNames = {
      "__func__", "__FUNCTION__", "__PRETTY_FUNCTION__", "__key", "__warned", "__already_done", "descriptor", "CSWTCH",
      "_rs",      "_entry",       "_entry_ptr"};
  // Without a dot it is declared outside of functions: somebody's variable that happens to have the name.
  if (piece.symbol->name.find('.') == std::string_view::npos) return false;
  std::string_view name = without_number(piece.symbol->name);
  const size_t dot = name.rfind('.');  // clang: function.variable
  if (dot != std::string_view::npos) name.remove_prefix(dot + 1);
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

bool is_constant_local(const Piece& piece) {
  if (!is_numbered_static(piece) || piece.section->is_writable() || !piece.section->has_data()) return false;
  const auto& all = piece.section->relocations;
  return std::none_of(all.begin(), all.end(),
                      [&](const elf::Relocation& r) { return r.offset >= piece.offset && r.offset < piece.end(); });
}

class Correlator {
 public:
  Correlator(const Pieces& original, const Pieces& patched) : original_(original), patched_(patched) {}

  Correlation run(const elf::DebugInfo& original_debug, const elf::DebugInfo& patched_debug) {
    by_name();
    by_clone_name();
    static_locals(original_debug, patched_debug);
    return std::move(result_);
  }

 private:
  void pair(const Piece* a, const Piece* b, const char* rule) {
    result_.to_patched_[a] = {b, rule};
    result_.to_original_[b] = {a, rule};
    log("correlate").debug("{} = {} ({})", a->name(), b->name(), rule);
  }
  bool open(const Piece& piece, const Correlation::Map& done) const {
    return piece.symbol != nullptr && !is_private_static(piece) && done.count(&piece) == 0;
  }

  void by_name() {
    for (const Piece& a : original_.all()) {
      if (!open(a, result_.to_patched_) || is_numbered_static(a)) continue;
      const Piece* b = patched_.named(a.symbol->name);
      if (b != nullptr && b->kind == a.kind && open(*b, result_.to_original_)) pair(&a, b, "name");
    }
  }

  void by_clone_name() {
    std::map<std::string, std::vector<const Piece*>> left, right;
    const auto collect = [&](const Pieces& pieces, const Correlation::Map& done, auto& into) {
      for (const Piece& p : pieces.all()) {
        if (p.kind == PieceKind::function && open(p, done)) into[clone_key(p)].push_back(&p);
      }
    };
    collect(original_, result_.to_patched_, left);
    collect(patched_, result_.to_original_, right);
    for (const auto& [key, list] : left) {
      const auto other = right.find(key);
      if (other != right.end() && list.size() == 1 && other->second.size() == 1)
        pair(list[0], other->second[0], "clone name");
    }
  }

  struct Local {
    const elf::StaticLocal* debug;
    const Piece* piece;
  };
  using Scopes = std::map<std::string, std::vector<Local>>;

  Scopes scopes(const Pieces& pieces, const elf::DebugInfo& debug, std::set<const Piece*>& seen) const {
    Scopes result;
    for (const elf::StaticLocal& local : debug.static_locals) {
      const Piece* piece = pieces.at(*local.section, local.offset);
      if (piece == nullptr || piece->offset != local.offset || !is_numbered_static(*piece) || is_private_static(*piece))
        continue;
      result[local.function + "/" + local.name].push_back({&local, piece});
      seen.insert(piece);
    }
    return result;
  }

  void static_locals(const elf::DebugInfo& original_debug, const elf::DebugInfo& patched_debug) {
    std::set<const Piece*> seen_original, seen_patched;
    const Scopes left = scopes(original_, original_debug, seen_original);
    const Scopes right = scopes(patched_, patched_debug, seen_patched);
    for (const auto& [scope, list] : right) {
      const auto other = left.find(scope);
      if (other != left.end()) match_scope(other->second, list);
    }
    // Without DWARF nothing says whether it is new.
    for (const Piece& b : patched_.all()) {
      if (is_numbered_static(b) && !is_private_static(b) && !is_constant_local(b) && seen_patched.count(&b) == 0)
        result_.ambiguous_.insert(&b);
    }
  }

  bool same_block(const Local& a, const Local& b) const {
    return a.debug->block == b.debug->block && uses_of(original_, *a.piece) == uses_of(patched_, *b.piece);
  }

  /// All static locals of one function and name. One on each side is a pair if their types agree; several need equal
  /// blocks and equal uses, as blocks may have changed places.
  void match_scope(const std::vector<Local>& left, const std::vector<Local>& right) {
    const bool single = left.size() == 1 && right.size() == 1;
    for (const Local& b : right) {
      std::vector<const Piece*> candidates;
      const Piece* other_type = nullptr;
      for (const Local& a : left) {
        const bool same_type = a.debug->type == b.debug->type && a.piece->size == b.piece->size;
        if (is_constant_local(*b.piece) && !std::ranges::equal(a.piece->data(), b.piece->data())) continue;
        if (same_type && (single || (left.size() == right.size() && same_block(a, b)))) candidates.push_back(a.piece);
        if (!same_type) other_type = a.piece;
      }
      if (candidates.size() == 1) {
        pair(candidates[0], b.piece, "static local");
      } else if (is_constant_local(*b.piece)) {
        continue;
      } else if (single && other_type != nullptr) {
        result_.resets_[b.piece] = {other_type, "type differs"};
      } else {
        result_.ambiguous_.insert(b.piece);
      }
    }
  }

  const Pieces& original_;
  const Pieces& patched_;
  Correlation result_;
};

Correlation correlate(const Pieces& original, const Pieces& patched, const elf::DebugInfo& original_debug,
                      const elf::DebugInfo& patched_debug) {
  return Correlator(original, patched).run(original_debug, patched_debug);
}

}  // namespace klp::diff
