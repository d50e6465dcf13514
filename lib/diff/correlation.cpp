#include "diff/correlation.h"

#include <algorithm>
#include <initializer_list>
#include <vector>

#include "diff/section_use.h"
#include "diff/use_sites.h"
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

/// The name in the source: `n.0` and clang's `f.n.0` are n.
std::string plain_name(const Piece& piece) {
  const std::string_view name = without_number(piece.symbol->name);
  return std::string(name.substr(name.rfind('.') + 1));
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

bool is_static_local(const Piece& piece) {
  // Only compilers put dots into names: n.0 (gcc), f.n and f.n.1 (clang), C.3, __compound_literal.2, table.1.
  return piece.kind == PieceKind::object && piece.symbol != nullptr && piece.symbol->is_local() &&
         piece.symbol->name.find('.', 1) != std::string_view::npos;
}

bool is_private_static(const Piece& piece) {
  if (piece.symbol == nullptr || !piece.symbol->is_local() || piece.kind != PieceKind::object) return false;
  const std::string name = plain_name(piece);
  if (name.starts_with("__UNIQUE_ID_")) return true;
  // Without a dot it is declared outside of functions: somebody's variable that happens to have the name.
  if (piece.symbol->name.find('.') == std::string_view::npos) return false;
  const auto is_one_of = [&](std::initializer_list<std::string_view> names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  if (!piece.section->is_writable()) return is_one_of({"__func__", "__FUNCTION__", "__PRETTY_FUNCTION__", "CSWTCH"});
  // The names alone are not the kernel's property: what the macros make has these sizes and sections.
  constexpr uint64_t kRatelimitState = 24;  // at least, in all versions
  if (is_one_of({"__warned", "__already_done", "__print_once"})) return piece.size == 1;
  if (name == "_rs") return piece.size >= kRatelimitState && piece.section->has_data();
  if (name == "descriptor") return piece.section->name == "__dyndbg" || piece.section->name == "__verbose";
  if (is_one_of({"_entry", "_entry_ptr"})) return piece.section->name.starts_with(".printk_index");
  return name == "__key";
}

bool is_constant_local(const Piece& piece) {
  if (!is_static_local(piece) || piece.section->is_writable() || !piece.section->has_data()) return false;
  const auto& all = piece.section->relocations;
  const auto next = std::lower_bound(all.begin(), all.end(), piece.offset,
                                     [](const elf::Relocation& r, uint64_t offset) { return r.offset < offset; });
  return next == all.end() || next->offset >= piece.end();
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

  using Lists = std::map<std::string, std::vector<const Piece*>>;

  /// Pairs what has one key; several on each side, by their order. (An object linked from one source twice has such
  /// twins. Nothing refers to them by name later: Identity gives no shipped symbol where a name is not unique.)
  void pair_lists(const Lists& left, const Lists& right, bool twins, const char* rule) {
    for (const auto& [key, list] : left) {
      const auto other = right.find(key);
      if (other == right.end() || list.size() != other->second.size() || (list.size() > 1 && !twins)) continue;
      for (size_t i = 0; i < list.size(); ++i) pair(list[i], other->second[i], rule);
    }
  }

  template <typename Key>
  Lists lists(const Pieces& pieces, const Correlation::Map& done, Key key) const {
    Lists result;
    for (const Piece& piece : pieces.all()) {
      if (open(piece, done)) key(piece, result);
    }
    return result;
  }

  /// A function that leaves .init is a new one: the old one is gone from memory.
  static int stage(const Piece& piece) {
    if (piece.kind != PieceKind::function) return 0;
    return is_init_section(piece.section->name) ? 1 : is_exit_section(piece.section->name) ? 2 : 0;
  }

  /// By name, locals within their source file; then by any name, which may have become global or static.
  void by_name() {
    const auto of_file = [](const Piece& piece, Lists& into) {
      if (is_static_local(piece)) return;
      const std::string_view file = piece.symbol->is_local() ? piece.symbol->file : "";
      into[fmt::format("{}/{}/{}/{}", piece.symbol->name, static_cast<int>(piece.kind), stage(piece), file)].push_back(
          &piece);
    };
    pair_lists(lists(original_, result_.to_patched_, of_file), lists(patched_, result_.to_original_, of_file), true,
               "name");
    const auto plain = [](const Piece& piece, Lists& into) {
      if (is_static_local(piece)) return;
      into[fmt::format("{}/{}/{}", piece.symbol->name, static_cast<int>(piece.kind), stage(piece))].push_back(&piece);
    };
    pair_lists(lists(original_, result_.to_patched_, plain), lists(patched_, result_.to_original_, plain), false,
               "name, other scope");
    by_alias();
  }

  /// An alias that became the only name, or a name that became an alias.
  void by_alias() {
    for (const Piece& a : original_.all()) {
      if (!open(a, result_.to_patched_) || is_static_local(a)) continue;
      std::vector<const elf::Symbol*> names = a.aliases;
      names.insert(names.begin(), a.symbol);
      for (const elf::Symbol* name : names) {
        const auto found = patched_.named(name->name);
        if (found.size() != 1 || found[0]->kind != a.kind || stage(*found[0]) != stage(a) ||
            !open(*found[0], result_.to_original_))
          continue;
        pair(&a, found[0], "alias");
        break;
      }
    }
  }

  void by_clone_name() {
    const auto clone = [](const Piece& piece, Lists& into) {
      if (piece.kind == PieceKind::function)
        into[fmt::format("{}/{}", clone_key(piece), stage(piece))].push_back(&piece);
    };
    pair_lists(lists(original_, result_.to_patched_, clone), lists(patched_, result_.to_original_, clone), false,
               "clone name");
  }

  struct Local {
    const Piece* piece = nullptr;
    const elf::StaticLocal* debug = nullptr;  ///< null where DWARF says nothing
  };

  /// All variables that may be one another: of one function and name by DWARF, of one name without it.
  struct Group {
    std::vector<Local> original, patched;
  };
  using Groups = std::map<std::string, Group>;

  static std::string group_key(const Local& local) {
    if (local.debug != nullptr) return "d/" + local.debug->function + "/" + local.debug->name;
    return "u/" + std::string(without_number(local.piece->symbol->name));
  }

  void collect(const Pieces& pieces, const elf::DebugInfo& debug, std::vector<Local> Group::*side,
               Groups& groups) const {
    std::unordered_map<const Piece*, const elf::StaticLocal*> known;
    if (both_have_debug_) {
      for (const elf::StaticLocal& local : debug.static_locals) {
        const Piece* piece = pieces.at(*local.section, local.offset);
        if (piece != nullptr && piece->offset == local.offset) known.emplace(piece, &local);
      }
    }
    for (const Piece& piece : pieces.all()) {
      if (!is_static_local(piece) || is_private_static(piece)) continue;
      const auto found = known.find(&piece);
      const Local local{&piece, found == known.end() ? nullptr : found->second};
      (groups[group_key(local)].*side).push_back(local);
    }
  }

  void static_locals(const elf::DebugInfo& original_debug, const elf::DebugInfo& patched_debug) {
    both_have_debug_ = !original_debug.functions.empty() && !patched_debug.functions.empty();
    Groups groups;
    collect(original_, original_debug, &Group::original, groups);
    collect(patched_, patched_debug, &Group::patched, groups);
    for (const auto& [key, group] : groups) {
      for (const Local& a : group.original)
        if (a.debug != nullptr) original_types_[a.piece] = a.debug->type;
      for (const Local& b : group.patched)
        if (b.debug != nullptr) patched_types_[b.piece] = b.debug->type;
    }
    for (const auto& [key, group] : groups) pair_by_scope(group);
    pair_by_use_sites(groups);
    for (const auto& [key, group] : groups) pair_by_blocks(group);
    pair_moved(groups);
    for (const auto& [key, group] : groups) judge_rest(group, groups);
  }

  bool is_open(const Local& local, bool original) const {
    return (original ? result_.to_patched_ : result_.to_original_).count(local.piece) == 0;
  }

  std::vector<Local> open_of(const std::vector<Local>& list, bool original) const {
    std::vector<Local> result;
    std::copy_if(list.begin(), list.end(), std::back_inserter(result),
                 [&](const Local& local) { return is_open(local, original); });
    return result;
  }

  /// Whether nothing speaks against a and b being one variable.
  static bool may_pair(const Local& a, const Local& b) {
    if (a.piece->size != b.piece->size || a.piece->section->is_writable() != b.piece->section->is_writable())
      return false;
    if (a.debug != nullptr && b.debug != nullptr && a.debug->type != b.debug->type) return false;
    return !is_constant_local(*b.piece) || std::ranges::equal(a.piece->data(), b.piece->data());
  }

  /// By DWARF, one on each side of a function and name is a pair if the types agree.
  void pair_by_scope(const Group& group) {
    if (group.original.size() != 1 || group.patched.size() != 1 || group.patched[0].debug == nullptr) return;
    const Local& a = group.original[0];
    const Local& b = group.patched[0];
    if (may_pair(a, b)) pair(a.piece, b.piece, "static local");
  }

  void pair_by_use_sites(const Groups& groups) {
    constexpr int kRounds = 8;  // a chain of unnamed variables that refer to each other is no longer than this
    for (int round = 0; round < kRounds; ++round) {
      std::vector<OpenGroup> open;
      for (const auto& [key, group] : groups) split(group, open);
      if (open.empty()) return;
      const auto pairs = pair_by_uses(original_, patched_, result_, open);
      if (pairs.empty()) return;
      for (const UsePair& p : pairs) pair(p.original, p.patched, p.rule);
    }
  }

  /// The open members of a group, divided into those that may pair.
  void split(const Group& group, std::vector<OpenGroup>& into) const {
    std::vector<Local> left = open_of(group.original, true);
    std::vector<Local> right = open_of(group.patched, false);
    while (!left.empty()) {
      OpenGroup part;
      const Local first = left.front();
      const auto take = [&](std::vector<Local>& from, std::vector<const Piece*>& to) {
        std::erase_if(from, [&](const Local& local) {
          const bool taken = local.piece == first.piece || may_pair(first, local);
          if (taken) to.push_back(local.piece);
          return taken;
        });
      };
      take(left, part.original);
      take(right, part.patched);
      if (!part.patched.empty()) into.push_back(std::move(part));
    }
  }

  /// Several of one function and name, whose uses prove nothing: equal blocks and equal instructions that use them.
  void pair_by_blocks(const Group& group) {
    const std::vector<Local> left = open_of(group.original, true);
    const std::vector<Local> right = open_of(group.patched, false);
    if (left.size() != right.size()) return;
    for (const Local& b : right) {
      std::vector<const Piece*> candidates;
      for (const Local& a : left) {
        const bool known = a.debug != nullptr && b.debug != nullptr && a.debug->block == b.debug->block;
        if (known && may_pair(a, b) && uses_of(original_, *a.piece) == uses_of(patched_, *b.piece))
          candidates.push_back(a.piece);
      }
      if (candidates.size() == 1) pair(candidates[0], b.piece, "static local of the same block and uses");
    }
  }

  /// A static local that became a variable of the file, or the other way round.
  void pair_moved(const Groups& groups) {
    std::map<std::string, std::vector<const Piece*>> left, right;
    const auto add = [](const Local& local, auto& into) { into[plain_name(*local.piece)].push_back(local.piece); };
    for (const auto& [key, group] : groups) {
      for (const Local& a : open_of(group.original, true)) add(a, left);
      for (const Local& b : open_of(group.patched, false)) add(b, right);
    }
    const auto match = [&](const std::string& name, const Piece* a, const Piece* b) {
      const bool fits = may_pair({a, nullptr}, {b, nullptr});
      if (fits && have_common_user(original_, patched_, result_, *a, *b)) {
        pair(a, b, "moved into or out of a function");
      } else if (a->section->is_writable()) {
        result_.resets_[b] = {a, "moved into or out of a function"};
      }
      log("correlate").debug("{}: {} {}", name, a->name(), fits ? "moved" : "moved, of another size");
    };
    const auto of_file = [&](const Pieces& pieces, const std::string& name, const Correlation::Map& done) {
      const auto found = pieces.named(name);
      return found.size() == 1 && found[0]->kind == PieceKind::object && open(*found[0], done) ? found[0] : nullptr;
    };
    for (const auto& [name, list] : left) {
      const Piece* b = of_file(patched_, name, result_.to_original_);
      const auto other = right.find(name);
      if (b != nullptr && (list.size() != 1 || other != right.end())) {
        if (list[0]->section->is_writable()) result_.ambiguous_.insert(b);
      } else if (b != nullptr) {
        match(name, list[0], b);
      } else if (other != right.end() && list.size() == 1 && other->second.size() == 1) {
        move_between_functions(*list[0], *other->second[0]);
      }
    }
    for (const auto& [name, list] : right) {
      const Piece* a = of_file(original_, name, result_.to_patched_);
      if (a != nullptr && list.size() == 1 && left.count(name) == 0) match(name, a, list[0]);
    }
  }

  /// The one static local of a name that is left on each side: its function may have been renamed, or split.
  void move_between_functions(const Piece& a, const Piece& b) {
    const auto type = [](const auto& types, const Piece& piece) {
      const auto found = types.find(&piece);
      return found == types.end() ? std::string() : found->second;
    };
    const bool same_type = type(original_types_, a) == type(patched_types_, b);
    if (same_type && may_pair({&a, nullptr}, {&b, nullptr}) && have_common_user(original_, patched_, result_, a, b))
      pair(&a, &b, "moved to another function");
  }

  /// Whether an original with a state and of that name is left, in whatever function.
  bool may_be_elsewhere(const Local& b, const Groups& groups) const {
    return std::any_of(groups.begin(), groups.end(), [&](const auto& entry) {
      return std::any_of(entry.second.original.begin(), entry.second.original.end(), [&](const Local& a) {
        return a.piece->section->is_writable() && is_open(a, true) && plain_name(*a.piece) == plain_name(*b.piece);
      });
    });
  }

  /// What is still open on the patched side is new, or reset, or it cannot be told.
  void judge_rest(const Group& group, const Groups& groups) {
    const std::vector<Local> left = open_of(group.original, true);
    const std::vector<Local> right = open_of(group.patched, false);
    for (const Local& b : right) {
      if (is_constant_local(*b.piece) || result_.resets_.count(b.piece) != 0) continue;
      if (left.empty()) {
        if (may_be_elsewhere(b, groups)) result_.ambiguous_.insert(b.piece);
      } else if (left.size() == 1 && right.size() == 1 && !may_pair(left[0], b)) {
        result_.resets_[b.piece] = {left[0].piece, "type differs"};
      } else {
        result_.ambiguous_.insert(b.piece);
      }
    }
    for (const Local& a : left) {
      if (a.piece->section->is_writable() && right.empty()) result_.removed_.push_back(a.piece);
    }
  }

  bool both_have_debug_ = false;
  std::unordered_map<const Piece*, std::string> original_types_, patched_types_;  ///< where DWARF tells them
  const Pieces& original_;
  const Pieces& patched_;
  Correlation result_;
};

Correlation correlate(const Pieces& original, const Pieces& patched, const elf::DebugInfo& original_debug,
                      const elf::DebugInfo& patched_debug) {
  return Correlator(original, patched).run(original_debug, patched_debug);
}

}  // namespace klp::diff
