#include "diff/image_compare.h"

#include <algorithm>
#include <filesystem>
#include <future>

#include "diff/image_callers.h"
#include "diff/image_form.h"
#include "diff/image_noise.h"
#include "diff/image_pairing.h"
#include "support/error.h"

namespace klp::diff {
namespace {

constexpr std::string_view kTableLines = "line numbers in tables";

/// One of the builds.
struct Side {
  explicit Side(const elf::ElfObject& object)
      : form(object), disassembler(object.machine()), functions{form.functions(), {}}, variables{form.variables(), {}} {
    for (const ImageFunction& f : functions.entries) functions.forms.push_back(form.digest(f, disassembler));
    for (const ImageFunction& v : variables.entries) variables.forms.push_back(form.content(v));
  }

  ImageForm form;
  elf::Disassembler disassembler;
  FormList functions, variables;
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
  ImageComparison(const Side& before, const Side& after, const LineSources& lines)
      : a_(before),
        b_(after),
        pairing_(a_.form, b_.form, {a_.functions, b_.functions, a_.variables, b_.variables}),
        noise_(before.form, after.form, after.disassembler, lines) {}

  ImageDifference run() {
    const Pairing &functions = pairing_.functions(), &variables = pairing_.variables();
    for (const auto& [i, j] : functions.unequal) look_closer(i, j);
    check_equal(functions, a_.functions, b_.functions, result_.functions);
    report_single(functions, a_.functions, b_.functions, result_.functions);
    result_.compared = b_.functions.entries.size();
    join_cold_parts();
    add_callers(a_.form, a_.functions.forms, result_.functions);
    for (const auto& [i, j] : variables.unequal) compare_contents(i, j);
    check_equal(variables, a_.variables, b_.variables, result_.variables);
    report_single(variables, a_.variables, b_.variables, result_.variables);
    result_.compared_variables = b_.variables.entries.size();
    for (const ImageForm* form : {&a_.form, &b_.form}) {
      for (const std::string_view table : form->tables().unread())
        result_.not_compared.push_back(fmt::format("{} of {}: its entries are of no known layout", table,
                                                   std::filesystem::path(form->image().name()).filename().string()));
    }
    return std::move(result_);
  }

 private:
  /// What has the same form may lie in memory of another kind, or differ in numbers that the form leaves out.
  void check_equal(const Pairing& pairing, const FormList& before, const FormList& after,
                   std::vector<ImageChange>& out) {
    for (const auto& [i, j] : pairing.equal) {
      const ImageFunction &f = before.entries[i], &g = after.entries[j];
      const std::string from = a_.form.area(f), to = b_.form.area(g);
      if (from != to)
        report(ImageChange::Kind::changed, &f, &g, fmt::format("moved from {} to {}", from, to), out);
      else if (const size_t at = pairing_.first_other(before.forms[i].references, after.forms[j].references);
               at != std::string::npos)
        report(ImageChange::Kind::changed, &f, &g, other_reference(before.forms[i], after.forms[j], at), out);
      else if (a_.form.lines(f) != b_.form.lines(g))
        quiet(std::string(kTableLines), f, g, out);
    }
  }

  void report_single(const Pairing& pairing, const FormList& before, const FormList& after,
                     std::vector<ImageChange>& out) {
    for (const size_t i : pairing.only_before) report(ImageChange::Kind::removed, &before.entries[i], nullptr, "", out);
    for (const size_t j : pairing.only_after) report(ImageChange::Kind::added, nullptr, &after.entries[j], "", out);
    for (const auto& [i, j] : pairing.moved) quiet("moved to another file", before.entries[i], after.entries[j], out);
    for (const auto& [i, j] : pairing.renamed)
      report(ImageChange::Kind::changed, &before.entries[i], &after.entries[j],
             fmt::format("renamed from {}", before.entries[i].name), out);
  }

  void quiet(const std::string& noise, const ImageFunction& f, const ImageFunction& g,
             const std::vector<ImageChange>& instead_of) {
    ++result_.noise[noise];
    ImageDifference::Quiet& entries = result_.quiet[noise];
    report(ImageChange::Kind::changed, &f, &g, noise,
           &instead_of == &result_.functions ? entries.functions : entries.variables);
  }

  void compare_contents(size_t i, size_t j) {
    const ImageFunction& v = a_.variables.entries[i];
    const ImageFunction& w = b_.variables.entries[j];
    const std::string &x = a_.variables.forms[i].text, &y = b_.variables.forms[j].text;
    if (is_build_information(w.name) || noise_.words().explain(x, y)) {
      quiet(std::string(kBuildNoise), v, w, result_.variables);
      return;
    }
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
    std::string noise;
    const size_t first = first_difference(f, x, g, y, noise);
    if (first == std::string::npos)
      quiet(noise, f, g, result_.functions);
    else
      report(ImageChange::Kind::changed, &f, &g, reason(f, x, g, y, first), result_.functions);
  }

  /// The first item that differs, but for the distance of a branch over what differs; npos when it is all `noise`.
  size_t first_difference(const ImageFunction& f, const std::vector<FormItem>& x, const ImageFunction& g,
                          const std::vector<FormItem>& y, std::string& noise) const {
    const size_t common = std::min(x.size(), y.size());
    std::vector<size_t> unsure;
    const auto tell = [&](std::string_view known) {
      if (noise.empty() || noise == kPerCpuNoise) noise = known;
    };
    for (size_t at = 0; at < common; ++at) {
      if (x[at].text == y[at].text || is_inner_branch(x[at], y[at])) continue;
      if (!x[at].table.empty() || !y[at].table.empty()) return at;
      const auto known = noise_.at_first_sight(f, x[at], g, y[at]);
      if (!known)
        unsure.push_back(at);
      else if (known->empty())
        return at;
      else
        tell(*known);
    }
    if (x.size() != y.size()) return common;
    for (const size_t at : unsure) {
      const std::string_view known = noise_.between(f, x[at], g, y[at]);
      if (known.empty()) return at;
      tell(known);
    }
    // Nothing but known noise, if no branch goes elsewhere either, and nothing else is meant.
    for (size_t at = 0; at < common; ++at) {
      if (x[at].text != y[at].text && is_inner_branch(x[at], y[at])) return at;
      // Texts that differ as noise does are constants that differ.
      if (x[at].text == y[at].text && pairing_.first_other(x[at].references, y[at].references) != std::string::npos)
        return at;
    }
    return std::string::npos;
  }

  /// What of two equal texts refers to another thing of the same name, or to a longer constant.
  static std::string other_reference(const FormText& x, const FormText& y, size_t at) {
    if (at >= std::min(x.references.size(), y.references.size())) return "refers to something else";
    const elf::Symbol *before = x.references[at].symbol, *after = y.references[at].symbol;
    if (before == nullptr || after == nullptr) return "a constant differs";
    if (before->name == after->name) return fmt::format("refers to another {}", after->name);
    return fmt::format("refers to {} instead of {}", after->name, before->name);
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

  void report(ImageChange::Kind kind, const ImageFunction* f, const ImageFunction* g, std::string reason,
              std::vector<ImageChange>& out) const {
    const ImageFunction& named = g != nullptr ? *g : *f;
    out.push_back({kind,
                   named.name,
                   std::string(named.file),
                   f != nullptr ? f->symbol->size : 0,
                   g != nullptr ? g->symbol->size : 0,
                   std::move(reason),
                   f != nullptr ? f->symbol->index : 0,
                   g != nullptr ? g->symbol->index : 0,
                   f != nullptr ? a_.form.area(*f) : b_.form.area(*g),
                   f != nullptr ? a_.form.traceable(*f) : std::nullopt,
                   {}});
  }

  std::optional<bool> traceable(const std::string& name, const std::string& file) const {
    for (const ImageFunction& f : a_.functions.entries) {
      if (f.name == name && f.file == file) return a_.form.traceable(f);
    }
    return std::nullopt;
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
      change.traceable = traceable(name, part.file);
      change.reason = part.kind == ImageChange::Kind::changed ? part.reason + ", in its .cold part"
                      : part.kind == ImageChange::Kind::added ? "has a .cold part now"
                                                              : "has no .cold part any more";
      others.push_back(std::move(change));
    }
    result_.functions = std::move(others);
  }

  const Side &a_, &b_;
  ImagePairing pairing_;
  ImageNoise noise_;
  ImageDifference result_;
};

/// Code that no symbol covers would pass for equal.
void check_symbols(const elf::ElfObject& image) {
  const auto& sections = image.sections();
  const bool has_code = std::any_of(sections.begin(), sections.end(),
                                    [](const elf::Section& s) { return s.is_exec() && s.has_data() && s.size != 0; });
  const auto& symbols = image.symbols();
  const bool has_symbols = std::any_of(symbols.begin(), symbols.end(), [](const elf::Symbol& s) {
    return s.is_defined() && s.section->is_exec() && s.size != 0;
  });
  if (has_code && !has_symbols)
    throw Error(fmt::format("{} is stripped: it has no symbols of its functions", image.name()),
                "give the unstripped file (of a -dbg package), or its System.map with --symbols-a or --symbols-b");
}

}  // namespace

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

ImageDifference compare_images(const elf::ElfObject& before, const elf::ElfObject& after, const LineSources& lines) {
  check_machines(before, after);
  check((before.type() == 1) == (after.type() == 1), "one of {} and {} is linked, the other is not", before.name(),
        after.name());
  check_symbols(before);
  check_symbols(after);
  auto other = std::async(std::launch::async, [&] { return std::make_unique<Side>(before); });
  const Side b(after);
  const std::unique_ptr<Side> a = other.get();
  ImageDifference result = ImageComparison(*a, b, lines).run();
  sort_by_weight(result.functions);
  sort_by_weight(result.variables);
  return result;
}

}  // namespace klp::diff
