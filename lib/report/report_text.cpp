// The report for people. Written for a reader who sees a livepatch for the first time: the outcome first, then what a
// person would ask next (refused: why and what to do; made: which file, what is in it, why), numbers and times last.
#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "report/report.h"
#include "report/text_layout.h"

namespace klp::report {
namespace {

constexpr size_t kChangeColumn = 10, kNameColumn = 40;

std::string file_name(const std::string& path) {
  return path.substr(path.find_last_of('/') + 1);
}

class TextWriter {
 public:
  TextWriter(const Report& report, bool color, bool verbose) : report_(report), paint_(color), verbose_(verbose) {}

  std::string write() {
    write_outcome();
    if (report_.outcome == Outcome::refused) write_findings(Severity::refusal);
    write_module();
    if (report_.outcome == Outcome::refused && !report_.units.empty())
      out_ += "\nNo module is written. Without the reasons above it would hold:\n";
    for (const ReportUnit& unit : report_.units) write_unit(unit);
    write_line_numbers();
    write_header_reach();
    if (report_.outcome != Outcome::refused) write_findings(Severity::refusal);
    write_findings(Severity::warning);
    write_findings(Severity::note);
    write_timing();
    return std::move(out_);
  }

 private:
  uint64_t count(Severity severity) const {
    return static_cast<uint64_t>(std::count_if(report_.findings.begin(), report_.findings.end(),
                                               [&](const Finding& finding) { return finding.severity == severity; }));
  }

  /// As write_unit() shows them.
  uint64_t count_functions(std::string_view as) const {
    uint64_t n = 0;
    for (const ReportUnit& unit : report_.units) {
      for (const ReportFunction& f : unit.functions) n += word(f) == as && !is_part(f) ? 1 : 0;
    }
    return n;
  }

  uint64_t count_variables(std::string_view as) const {
    uint64_t n = 0;
    for (const ReportUnit& unit : report_.units) {
      for (const ReportData& d : unit.data) n += d.change != "bundled" && word(d) == as ? 1 : 0;
    }
    return n;
  }

  std::string summary() const {
    std::string what = report_.module ? file_name(report_.module->file) : std::string("the patch");
    for (const ReportModule& m : report_.further_modules) what += ", " + file_name(m.file);
    std::vector<std::string> parts = {fmt::format("replaces {}", counted(count_functions("replaced"), "function"))};
    for (const char* word : {"added", "copied"}) {
      std::string counts;
      if (const uint64_t functions = count_functions(word)) counts = counted(functions, "function");
      if (const uint64_t variables = count_variables(word))
        counts += fmt::format("{}{}", counts.empty() ? "" : " and ", counted(variables, "variable"));
      if (!counts.empty())
        parts.push_back(fmt::format("{} {}", word == std::string("added") ? "adds" : "copies", counts));
    }
    return fmt::format("{} {}", what, fmt::join(parts, ", "));
  }

  void write_outcome() {
    switch (report_.outcome) {
      case Outcome::ok:
        out_ += wrapped(paint_(Ink::good, "ok: "), summary());
        return;
      case Outcome::refused:
        out_ += paint_(Ink::bad, fmt::format("refused: {}", counted(count(Severity::refusal), "reason"))) + "\n";
        return;
      case Outcome::unchanged:
        out_ += wrapped(paint_(Ink::good, "unchanged: "),
                        "no code and no data of any unit changes; there is nothing to patch");
        return;
      case Outcome::failed:
        out_ += wrapped(paint_(Ink::bad, "failed: "), report_.message.empty() ? "see the messages" : report_.message);
        return;
    }
  }

  void write_module() {
    if (!report_.module && !report_.kernel) return;
    out_ += "\n";
    if (report_.module) write_module(*report_.module);
    for (const ReportModule& m : report_.further_modules) write_module(m);
    if (!report_.further_modules.empty()) {
      out_ +=
          wrapped("  split   ",
                  "each module is loaded, disabled and replaced for itself, so one for a module that a machine never "
                  "loads can be left out. But nothing keeps them together: each has its own transition, so code of "
                  "one object may run patched while that of another does not; and none replaces livepatches that "
                  "are loaded already, nor the versions of these modules from an earlier build");
    }
    if (const auto& k = report_.kernel) {
      const bool named = !k->name.empty() && k->name != k->release;
      out_ += fmt::format("  kernel  {}{}, {}\n", named ? k->name + ", release " : "", k->release, k->arch);
    }
  }

  void write_module(const ReportModule& m) {
    out_ += fmt::format("  module  {}, {} bytes{}\n", m.file, with_thousands(m.size),
                        m.name.empty() ? "" : fmt::format(" (loads as {})", m.name));
  }

  void write_unit(const ReportUnit& unit) {
    out_ += fmt::format("\n{}\n", paint_(Ink::strong, fmt::format("{}, part of {}", unit.unit, unit.object)));
    if (unit.identity) write_identity(unit);
    write_functions(unit, true);
    write_functions(unit, false);
    write_all_data(unit);
    if (unit.klp_relocations != 0) {
      out_ += fmt::format("  {} into {} resolved by the kernel's livepatch core\n",
                          counted(unit.klp_relocations, "reference"), unit.object);
    }
    write_entries("entries in kernel tables: ", unit.special_entries);
    write_entries(
        fmt::format("static branches whose keys are {}'s; the livepatch tests these keys itself: ", unit.object),
        unit.tested_keys);
    write_entries(fmt::format("entries that wait until {} is loaded: ", unit.object), unit.deferred_entries);
    for (const std::string& note : unit.notes) out_ += wrapped("  ", note);
  }

  /// What the reader sees of a function: whether the kernel runs this one instead of its own (whatever the reason), or
  /// it only comes along (new, or as a copy for those that are replaced), or is not called by what is replaced any
  /// more. JSON tells changed, lifted, new and bundled apart; here the reason beside the name does.
  static std::string_view word(const ReportFunction& f) {
    return f.change == "removed" ? "unused" : f.patched ? "replaced" : f.change == "new" ? "added" : "copied";
  }

  static std::string_view word(const ReportData& d) {
    return !d.carried ? "kept old" : d.change == "changed" ? "copied" : "added";
  }

  static std::string reason(const ReportFunction& f) {
    if (f.because.empty()) return {};
    return f.change == "lifted" ? "unchanged itself, but " + f.because[0] : f.because[0];
  }

  /// Once for all places in the report.
  void write_line_numbers() {
    const auto has_functions = [](const ReportUnit& unit) { return !unit.functions.empty(); };
    if (std::any_of(report_.units.begin(), report_.units.end(), has_functions))
      out_ +=
          "\nLine numbers are those of the patched source; of lines that are only taken out, that of the line behind "
          "them.\n";
  }

  void write_identity(const ReportUnit& unit) {
    const ReportIdentity& identity = *unit.identity;
    const unsigned all = identity.matched + identity.different + identity.absent;
    std::string line = fmt::format("identity: {} of {}, compiled from the unpatched source, equal the shipped {}",
                                   identity.matched, counted(all, "function"), unit.object);
    if (identity.different != 0) line += fmt::format(", {} differ", identity.different);
    if (identity.absent != 0) line += fmt::format(", {} not there", identity.absent);
    out_ += wrapped("  ", line);
  }

  void write_functions(const ReportUnit& unit, bool patched) {
    constexpr size_t kManyAlike = 4;
    std::map<std::pair<std::string, std::string>, std::vector<const ReportFunction*>> alike;
    for (const ReportFunction& f : unit.functions) {
      if (f.patched == patched && !f.because.empty()) alike[{f.change, f.because[0]}].push_back(&f);
    }
    for (const ReportFunction& f : unit.functions) {
      if (f.patched != patched || is_counted_only(f)) continue;
      const auto group = f.because.empty() ? alike.end() : alike.find({f.change, f.because[0]});
      if (verbose_ || group == alike.end() || group->second.size() < kManyAlike)
        write_function(f);
      else if (group->second.front() == &f)
        write_group(group->second);
    }
  }

  /// A function and its unlikely part are one to the reader.
  bool is_counted_only(const ReportFunction& f) const { return !verbose_ && is_part(f); }

  static bool is_part(const ReportFunction& f) { return !f.patched && f.name.ends_with(".cold"); }

  /// A changed header may be behind dozens of functions: one line says so, and their names follow.
  void write_group(const std::vector<const ReportFunction*>& functions) {
    std::string names;
    for (const ReportFunction* f : functions) names += (names.empty() ? "" : ", ") + f->name;
    const ReportFunction& first = *functions.front();
    write_reason(padded(paint_(first.patched ? Ink::warn : Ink::plain, word(first)), kChangeColumn),
                 counted(functions.size(), "function"), reason(first));
    out_ += wrapped(indent(), names);
  }

  void write_function(const ReportFunction& function) {
    std::string name = function.name;
    if (function.sympos != 0) name += fmt::format(" (no. {} of its name)", function.sympos);
    const Ink ink = function.patched ? Ink::warn : Ink::plain;
    write_reason(padded(paint_(ink, word(function)), kChangeColumn), name, reason(function));
    if (!verbose_) return;
    std::string place = function.file;
    if (!place.empty() && function.line != 0) place += fmt::format(":{}", function.line);
    const std::string size = sizes(function);
    if (!place.empty() || !size.empty())
      out_ += fmt::format("{}{}{}{}\n", indent(), place, place.empty() || size.empty() ? "" : ", ", size);
    write_chain(function.because);
  }

  static std::string sizes(const ReportFunction& function) {
    if (function.old_size != 0 && function.new_size != 0 && function.old_size != function.new_size) {
      return fmt::format("{} -> {} bytes", function.old_size, function.new_size);
    }
    const uint64_t size = std::max(function.old_size, function.new_size);
    return size != 0 ? fmt::format("{} bytes", size) : std::string();
  }

  /// What belongs to one function and means nothing by itself (names of functions, guards of messages) is counted only.
  void write_all_data(const ReportUnit& unit) {
    uint64_t bundled = 0;
    for (const ReportData& data : unit.data) {
      if (data.change == "bundled" && !verbose_)
        ++bundled;
      else
        write_data(data);
    }
    const auto cold = std::count_if(unit.functions.begin(), unit.functions.end(),
                                    [&](const ReportFunction& f) { return is_counted_only(f); });
    std::string text;
    if (cold != 0) text = counted(static_cast<uint64_t>(cold), ".cold part", ".cold parts");
    if (bundled != 0)
      text += fmt::format("{}{}", text.empty() ? "" : ", ",
                          counted(bundled, "constant or private static", "constants and private statics"));
    if (!text.empty()) out_ += wrapped("  with ", text + " of these functions (-v lists them)");
  }

  void write_data(const ReportData& data) {
    write_reason(padded(std::string(word(data)), kChangeColumn), data.name,
                 data.because.empty() ? "" : data.because[0]);
    if (!verbose_) return;
    out_ += fmt::format("{}{}, {} bytes\n", indent(), data.section.empty() ? "data" : data.section, data.size);
    write_chain(data.because);
  }

  static std::string indent() { return std::string(2 + kChangeColumn, ' '); }

  /// One line for most: what it is, its name, why it is there.
  void write_reason(const std::string& word, const std::string& name, const std::string& reason) {
    std::string first = fmt::format("  {}{}", word, padded(name, kNameColumn));
    const bool fits = !reason.empty() && columns(first) + 1 + columns(reason) <= kTextWidth;
    if (fits) first += " " + reason;
    while (first.back() == ' ') first.pop_back();
    out_ += first + "\n";
    if (!fits && !reason.empty()) out_ += wrapped(indent(), reason);
  }

  void write_chain(const std::vector<std::string>& because) {
    for (size_t i = 1; i < because.size(); ++i) out_ += wrapped(indent() + "- ", because[i]);
  }

  void write_entries(const std::string& title, const std::map<std::string, uint64_t>& entries) {
    if (entries.empty()) return;
    std::string list;
    for (const auto& [table, number] : entries) list += fmt::format("{}{} {}", list.empty() ? "" : ", ", table, number);
    out_ += wrapped("  " + title, list);
  }

  void write_findings(Severity severity) {
    uint64_t number = 0;
    for (const Finding& finding : report_.findings) {
      if (finding.severity != severity) continue;
      ++number;
      out_ += "\n";
      const std::string lead =
          severity == Severity::refusal ? fmt::format("{}. ", number) : fmt::format("{}: ", to_string(severity));
      const Ink ink = severity == Severity::refusal   ? Ink::bad
                      : severity == Severity::warning ? Ink::warn
                                                      : Ink::strong;
      out_ += fmt::format("{}{}\n", paint_(ink, lead + finding.code), place(finding));
      if (!finding.message.empty()) out_ += wrapped("   ", finding.message);
      if (!finding.place.empty()) out_ += wrapped("   where: ", finding.place);
      if (!finding.hint.empty()) out_ += wrapped("   what to do: ", finding.hint);
    }
  }

  static std::string place(const Finding& finding) {
    std::string text;
    const auto add = [&text](std::string_view what) {
      if (!what.empty()) text += fmt::format("{}{}", text.empty() ? ": " : ", ", what);
    };
    add(finding.symbol);
    add(finding.unit);
    add(finding.object);
    return text;
  }

  /// Counts, and the units that no proof settled (with -v, those that the dearer proof did, too).
  void write_header_reach() {
    const HeaderReach& reach = report_.header_reach;
    if (reach.units.empty()) return;
    out_ += "\n";
    const uint64_t compiled = reach.count("equal") + reach.count("changed");
    std::string text =
        fmt::format("{} that the patch does not touch: {} proven unaffected by names, {} by tokens; {}",
                    counted(reach.units.size(), "unit"), reach.count("names"), reach.count("tokens"),
                    compiled == 0 ? "none compiled"
                                  : fmt::format("{} compiled, {} of them changed", compiled, reach.count("changed")));
    if (const uint64_t refused = reach.count("refused")) text += fmt::format("; {} refused or not compiled", refused);
    out_ += wrapped("  headers reach ", text);
    for (const HeaderReach::Unit& unit : reach.units) {
      if (unit.result == "names" || (unit.result == "tokens" && !verbose_)) continue;
      out_ += wrapped("    ", fmt::format("{}: {}{}", unit.unit, unit.result, unit.why.empty() ? "" : ", " + unit.why));
    }
  }

  void write_timing() {
    if (report_.timing_ms.empty()) return;
    std::string phases;
    for (const auto& [phase, ms] : report_.timing_ms)
      phases += fmt::format("{}{} {:.2f}", phases.empty() ? "" : ", ", phase, static_cast<double>(ms) / 1000);
    out_ += '\n';
    out_ += wrapped(fmt::format("took {:.2f} s: ", static_cast<double>(total_ms(report_)) / 1000), phases);
  }

  const Report& report_;
  Paint paint_;
  bool verbose_;
  std::string out_;
};

}  // namespace

std::string report_text(const Report& report, bool color, bool verbose) {
  return TextWriter(report, color, verbose).write();
}

}  // namespace klp::report
