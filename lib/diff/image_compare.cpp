#include "diff/image_compare.h"

#include <algorithm>
#include <future>
#include <set>

#include "diff/compare.h"
#include "diff/image_form.h"
#include "diff/image_noise.h"
#include "elf/debug_info.h"
#include "support/error.h"

namespace klp::diff {
namespace {

constexpr std::string_view kTableLines = "line numbers in tables";

/// Functions or variables with their forms.
struct List {
  const std::vector<ImageFunction>& entries;
  std::vector<std::string> forms;
};

/// One of the builds.
struct Side {
  explicit Side(const elf::ElfObject& object)
      : form(object), disassembler(object.machine()), functions{form.functions(), {}}, variables{form.variables(), {}} {
    for (const ImageFunction& f : functions.entries) functions.forms.push_back(form.digest(f, disassembler));
    for (const ImageFunction& v : variables.entries) variables.forms.push_back(form.content(v));
  }

  ImageForm form;
  elf::Disassembler disassembler;
  List functions, variables;
};

/// Which entry of one build is which of the other.
class Pairing {
 public:
  Pairing(const List& before, const List& after) : a_(before), b_(after) {
    pair_groups(grouped(a_), grouped(b_));
    pair_moved();
  }

  std::vector<std::pair<size_t, size_t>> equal, unequal;
  std::vector<size_t> only_before, only_after;
  uint64_t moved = 0;  ///< equal ones in another file

 private:
  using Key = std::pair<std::string_view, std::string_view>;  // name, file
  using Group = std::vector<size_t>;

  static std::map<Key, Group> grouped(const List& list) {
    std::map<Key, Group> result;
    for (size_t i = 0; i < list.entries.size(); ++i) result[{list.entries[i].name, list.entries[i].file}].push_back(i);
    return result;
  }

  void pair_groups(const std::map<Key, Group>& before, const std::map<Key, Group>& after) {
    for (const auto& [key, group] : before) {
      const auto other = after.find(key);
      if (other == after.end())
        only_before.insert(only_before.end(), group.begin(), group.end());
      else
        pair_group(group, other->second);
    }
    for (const auto& [key, group] : after) {
      if (before.count(key) == 0) only_after.insert(only_after.end(), group.begin(), group.end());
    }
  }

  /// Several of one name in files of one name: equal ones belong together, the others in their order.
  void pair_group(const Group& before, const Group& after) {
    std::map<std::string_view, Group> by_form;
    for (const size_t j : after) by_form[b_.forms[j]].push_back(j);
    Group rest;
    std::set<size_t> paired;
    for (const size_t i : before) {
      Group& same = by_form[a_.forms[i]];
      const auto free = std::find_if(same.begin(), same.end(), [&](size_t j) { return paired.count(j) == 0; });
      if (free == same.end())
        rest.push_back(i);
      else {
        paired.insert(*free);
        equal.emplace_back(i, *free);
      }
    }
    size_t next = 0;
    for (const size_t j : after) {
      if (paired.count(j) != 0) continue;
      if (next < rest.size())
        unequal.emplace_back(rest[next++], j);
      else
        only_after.push_back(j);
    }
    only_before.insert(only_before.end(), rest.begin() + static_cast<ptrdiff_t>(next), rest.end());
  }

  /// What has gone to another file, or became static, keeps its name.
  void pair_moved() {
    std::map<std::string_view, Group> before, after;
    for (const size_t i : only_before) before[a_.entries[i].name].push_back(i);
    for (const size_t j : only_after) after[b_.entries[j].name].push_back(j);
    std::set<size_t> done_a, done_b;
    for (const auto& [name, group] : before) {
      const auto other = after.find(name);
      if (other == after.end() || group.size() != 1 || other->second.size() != 1) continue;
      const size_t i = group.front(), j = other->second.front();
      done_a.insert(i);
      done_b.insert(j);
      if (a_.forms[i] == b_.forms[j]) {
        ++moved;
        equal.emplace_back(i, j);
      } else
        unequal.emplace_back(i, j);
    }
    std::erase_if(only_before, [&](size_t i) { return done_a.count(i) != 0; });
    std::erase_if(only_after, [&](size_t j) { return done_b.count(j) != 0; });
  }

  const List &a_, &b_;
};

/// What the build itself leaves: versions, times, ids.
bool is_build_information(std::string_view name) {
  for (const std::string_view prefix : {"linux_banner", "linux_proc_banner", "init_uts_ns", "__UNIQUE_ID_vermagic",
                                        "__UNIQUE_ID_srcversion", "____versions", "vermagic", "_note_", "__BTF_ID__"}) {
    if (name.starts_with(prefix)) return true;
  }
  return false;
}

std::string without_cold(const std::string& name) {
  const size_t at = name.find(".cold");
  return at == std::string::npos ? name : name.substr(0, at) + name.substr(at + 5);
}

class ImageComparison {
 public:
  ImageComparison(const Side& before, const Side& after)
      : a_(before), b_(after), noise_(before.form, after.form, after.disassembler) {}

  ImageDifference run() {
    const Pairing functions(a_.functions, b_.functions);
    for (const auto& [i, j] : functions.unequal) look_closer(i, j);
    check_equal(functions, a_.functions, b_.functions, result_.functions);
    report_single(functions, a_.functions, b_.functions, result_.functions);
    result_.compared = b_.functions.entries.size();
    join_cold_parts();
    const Pairing variables(a_.variables, b_.variables);
    for (const auto& [i, j] : variables.unequal) compare_contents(i, j);
    check_equal(variables, a_.variables, b_.variables, result_.variables);
    report_single(variables, a_.variables, b_.variables, result_.variables);
    result_.compared_variables = b_.variables.entries.size();
    return std::move(result_);
  }

 private:
  /// What has the same form may lie in memory of another kind, or differ in numbers that the form leaves out.
  void check_equal(const Pairing& pairing, const List& before, const List& after, std::vector<ImageChange>& out) {
    for (const auto& [i, j] : pairing.equal) {
      const ImageFunction &f = before.entries[i], &g = after.entries[j];
      const std::string from = a_.form.area(f), to = b_.form.area(g);
      if (from != to)
        report(ImageChange::Kind::changed, &f, &g, fmt::format("moved from {} to {}", from, to), out);
      else if (a_.form.lines(f) != b_.form.lines(g))
        ++result_.noise[std::string(kTableLines)];
    }
  }

  void report_single(const Pairing& pairing, const List& before, const List& after, std::vector<ImageChange>& out) {
    for (const size_t i : pairing.only_before) report(ImageChange::Kind::removed, &before.entries[i], nullptr, "", out);
    for (const size_t j : pairing.only_after) report(ImageChange::Kind::added, nullptr, &after.entries[j], "", out);
    if (pairing.moved != 0) result_.noise["moved to another file"] += pairing.moved;
  }

  void compare_contents(size_t i, size_t j) {
    const ImageFunction& v = a_.variables.entries[i];
    const ImageFunction& w = b_.variables.entries[j];
    if (is_build_information(w.name)) {
      ++result_.noise["build information"];
      return;
    }
    const std::string &x = a_.variables.forms[i], &y = b_.variables.forms[j];
    std::string reason = "refers to something else";
    if (v.symbol->size != w.symbol->size)
      reason = fmt::format("{} bytes instead of {}", w.symbol->size, v.symbol->size);
    else if (v.symbol->section->has_data() != w.symbol->section->has_data())
      reason = "only zeros in one of them";
    else if (x.find('|') == std::string::npos && y.find('|') == std::string::npos)
      reason = fmt::format("content differs at +{:#x}",
                           std::mismatch(x.begin(), x.end(), y.begin(), y.end()).first - x.begin());
    report(ImageChange::Kind::changed, &v, &w, std::move(reason), result_.variables);
  }

  void look_closer(size_t i, size_t j) {
    const ImageFunction& f = a_.functions.entries[i];
    const ImageFunction& g = b_.functions.entries[j];
    const auto x = a_.form.form(f, a_.disassembler), y = b_.form.form(g, b_.disassembler);
    const size_t common = std::min(x.size(), y.size());
    size_t first = common;  // that differs, but for the distance of a branch over what differs
    std::string noise;
    for (size_t at = 0; at < common && first == common; ++at) {
      if (x[at].text == y[at].text || is_inner_branch(x[at], y[at])) continue;
      const bool is_entry = !x[at].table.empty() || !y[at].table.empty();
      const std::string_view known = is_entry ? std::string_view() : noise_.between(f, x[at], g, y[at]);
      if (known.empty()) first = at;
      if (!known.empty() && noise != kPerCpuNoise) noise = known;
    }
    if (first == common && x.size() == y.size()) {
      // Nothing but known noise, if no branch goes elsewhere either.
      for (size_t at = 0; at < common; ++at) {
        if (x[at].text != y[at].text && is_inner_branch(x[at], y[at])) first = std::min(first, at);
      }
      if (first == common) {
        ++result_.noise[noise];
        return;
      }
    }
    report(ImageChange::Kind::changed, &f, &g, reason(f, x, g, y, first), result_.functions);
  }

  std::string reason(const ImageFunction& f, const std::vector<FormItem>& x, const ImageFunction& g,
                     const std::vector<FormItem>& y, size_t at) const {
    const auto text = [](const Side& side, const ImageFunction& function, const std::vector<FormItem>& items,
                         size_t n) {
      if (n >= items.size() || !items[n].table.empty()) return std::string("the end");
      return side.disassembler.text(side.form.code(function), items[n].offset);
    };
    const uint64_t offset = at < y.size() ? y[at].offset : g.symbol->size;
    const auto is_entry = [&](const std::vector<FormItem>& items) {
      return at >= items.size() || !items[at].table.empty();
    };
    if (is_entry(x) && is_entry(y)) {
      const FormItem& entry = at < y.size() ? y[at] : x[at];
      return fmt::format("entry of {} for +{:#x} {}", entry.table, entry.offset,
                         at >= x.size()   ? "is new"
                         : at >= y.size() ? "is gone"
                                          : "differs");
    }
    const bool same_kind = at < std::min(x.size(), y.size()) && x[at].before_target == y[at].before_target &&
                           x[at].before_target != std::string::npos &&
                           x[at].text.compare(0, x[at].before_target, y[at].text, 0, y[at].before_target) == 0;
    if (same_kind) return fmt::format("code differs at +{:#x}: {} instead of {}", offset, shown(y[at]), shown(x[at]));
    return fmt::format("code differs at +{:#x}: {} instead of {}", offset, text(b_, g, y, at), text(a_, f, x, at));
  }

  /// What an instruction refers to, for people.
  static std::string shown(const FormItem& item) {
    constexpr size_t kShown = 60;
    std::string result;
    for (const char c : item.target().substr(0, kShown)) result += c >= ' ' && c < 0x7f ? c : '.';
    return result.starts_with('@') ? "a branch to instruction " + result.substr(1) : result;
  }

  static void report(ImageChange::Kind kind, const ImageFunction* f, const ImageFunction* g, std::string reason,
                     std::vector<ImageChange>& out) {
    const ImageFunction& named = g != nullptr ? *g : *f;
    out.push_back({kind, named.name, std::string(named.file), f != nullptr ? f->symbol->size : 0,
                   g != nullptr ? g->symbol->size : 0, std::move(reason), f != nullptr ? f->symbol->index : 0,
                   g != nullptr ? g->symbol->index : 0});
  }

  /// A part that the compiler put elsewhere is no function of its own: it counts as a change of its function, whatever
  /// became of the part.
  void join_cold_parts() {
    std::map<std::pair<std::string, std::string>, ImageChange> joined;
    const auto is_part = [](const ImageChange& c) { return c.name.find(".cold") != std::string::npos; };
    std::vector<ImageChange> others;
    for (ImageChange& change : result_.functions) {
      if (!is_part(change)) others.push_back(std::move(change));
    }
    for (const ImageChange& part : result_.functions) {
      if (part.name.empty() || !is_part(part)) continue;
      const std::string name = without_cold(part.name);
      const bool known = std::any_of(others.begin(), others.end(), [&](const ImageChange& c) {
        // A global function has no file, its part has one.
        return c.name == name && (c.file == part.file || c.file.empty());
      });
      if (known) continue;
      ImageChange change = part;
      change.kind = ImageChange::Kind::changed;
      change.name = name;
      change.reason = part.kind == ImageChange::Kind::changed ? part.reason + ", in its .cold part"
                      : part.kind == ImageChange::Kind::added ? "has a .cold part now"
                                                              : "has no .cold part any more";
      others.push_back(std::move(change));
    }
    result_.functions = std::move(others);
  }

  const Side &a_, &b_;
  ImageNoise noise_;
  ImageDifference result_;
};

void sort_by_weight(std::vector<ImageChange>& changes) {
  const auto weight = [](const ImageChange& c) { return std::max(c.old_size, c.new_size); };
  std::stable_sort(changes.begin(), changes.end(), [&](const ImageChange& a, const ImageChange& b) {
    if (a.kind != b.kind) return a.kind < b.kind;
    return weight(a) != weight(b) ? weight(a) > weight(b) : a.name < b.name;
  });
}

void check_machines(const elf::ElfObject& before, const elf::ElfObject& after) {
  check(before.machine() == after.machine(), "{} and {} are for different architectures", before.name(), after.name());
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
    out.push_back(
        {ImageChange::Kind::changed, std::string(c.patched->name()), "", c.original->size, c.patched->size, c.reason});
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

ImageDifference compare_images(const elf::ElfObject& before, const elf::ElfObject& after) {
  check_machines(before, after);
  check((before.type() == 1) == (after.type() == 1), "one of {} and {} is linked, the other is not", before.name(),
        after.name());
  auto other = std::async(std::launch::async, [&] { return std::make_unique<Side>(before); });
  const Side b(after);
  const std::unique_ptr<Side> a = other.get();
  ImageDifference result = ImageComparison(*a, b).run();
  sort_by_weight(result.functions);
  sort_by_weight(result.variables);
  return result;
}

ImageDifference compare_units(const elf::ElfObject& before, const elf::ElfObject& after) {
  check_machines(before, after);
  const elf::Disassembler disassembler(before.machine());
  const Pieces original(before, disassembler), patched(after, disassembler);
  const Tables original_tables(original, {}), patched_tables(patched, {});
  const Correlation correlation =
      correlate(original, patched, elf::read_debug_info(before), elf::read_debug_info(after));
  Comparison comparison(original, patched, correlation, original_tables, patched_tables);
  comparison.learn_lines();
  const ChangeSet changes = compare(original, patched, correlation, comparison, patched_tables);
  ImageDifference result;
  const auto add = [&](ImageChange::Kind kind, const Piece* a, const Piece* b, const std::string& reason) {
    const Piece& named = b != nullptr ? *b : *a;
    result.functions.push_back({kind, std::string(named.name()), "", a != nullptr ? a->size : 0,
                                b != nullptr ? b->size : 0, reason, symbol_of(a), symbol_of(b)});
  };
  for (const FunctionChange& c : changes.functions) {
    const bool added = c.kind == FunctionChange::Kind::added;
    add(added ? ImageChange::Kind::added : ImageChange::Kind::changed, c.original, c.patched, added ? "" : c.reason);
  }
  for (const Piece* piece : changes.removed_functions) add(ImageChange::Kind::removed, piece, nullptr, "");
  join_moved(comparison, original, patched, result.functions);
  for (const Piece& piece : patched.all()) {
    result.compared += piece.kind == PieceKind::function ? 1 : 0;
    result.compared_variables += piece.kind == PieceKind::object ? 1 : 0;
  }
  add_variables(original, patched, correlation, changes, result.variables);
  if (!changes.only_lines.empty()) result.noise[std::string(kLineNoise)] = changes.only_lines.size();
  sort_by_weight(result.functions);
  sort_by_weight(result.variables);
  return result;
}

}  // namespace klp::diff
