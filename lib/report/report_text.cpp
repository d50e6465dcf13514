// The report for people. Written for a reader who sees a livepatch for the first time: the outcome first, then what a
// person would ask next (refused: why and what to do; made: which file, what is in it, why), numbers and times last.
#include <algorithm>

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
  TextWriter(const Report& report, bool color) : report_(report), paint_(color) {}

  std::string write() {
    write_outcome();
    if (report_.outcome == Outcome::refused) write_findings(Severity::refusal);
    write_module();
    for (const ReportUnit& unit : report_.units) write_unit(unit);
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

  uint64_t count_functions(bool patched) const {
    uint64_t n = 0;
    for (const ReportUnit& unit : report_.units) {
      for (const ReportFunction& f : unit.functions) n += f.patched == patched && f.change != "removed" ? 1 : 0;
    }
    return n;
  }

  std::string summary() const {
    const std::string what = report_.module ? file_name(report_.module->file) : std::string("the patch");
    std::string text = fmt::format("{} replaces {}", what, counted(count_functions(true), "function"));
    if (const uint64_t carried = count_functions(false))
      text += fmt::format(" and carries {} more", with_thousands(carried));
    return text;
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
    if (const auto& m = report_.module) {
      out_ += fmt::format("  module  {}, {} bytes{}\n", m->file, with_thousands(m->size),
                          m->name.empty() ? "" : fmt::format(" (loads as {})", m->name));
    }
    if (const auto& k = report_.kernel) {
      const bool named = !k->name.empty() && k->name != k->release;
      out_ += fmt::format("  kernel  {}{}, {}\n", named ? k->name + ", release " : "", k->release, k->arch);
    }
  }

  void write_unit(const ReportUnit& unit) {
    out_ += fmt::format("\n{}\n", paint_(Ink::strong, fmt::format("{}, part of {}", unit.unit, unit.object)));
    if (unit.identity) write_identity(unit);
    for (const ReportFunction& function : unit.functions) write_function(function);
    for (const ReportData& data : unit.data) write_data(data);
    if (unit.klp_relocations != 0) {
      out_ += fmt::format("  {} into {} resolved by the kernel's livepatch core\n",
                          counted(unit.klp_relocations, "reference"), unit.object);
    }
    write_entries("entries in kernel tables: ", unit.special_entries);
    write_entries(fmt::format("entries that wait until {} is loaded: ", unit.object), unit.deferred_entries);
    for (const std::string& note : unit.notes) out_ += wrapped("  ", note);
  }

  void write_identity(const ReportUnit& unit) {
    const ReportIdentity& identity = *unit.identity;
    const unsigned all = identity.matched + identity.different + identity.absent;
    std::string line =
        fmt::format("identity: {} of {} equal the shipped {}", identity.matched, counted(all, "function"), unit.object);
    if (identity.different != 0) line += fmt::format(", {} differ", identity.different);
    if (identity.absent != 0) line += fmt::format(", {} not there", identity.absent);
    out_ += wrapped("  ", line);
  }

  void write_function(const ReportFunction& function) {
    std::string name = function.name;
    if (function.sympos != 0) name += fmt::format(" (no. {} of its name)", function.sympos);
    const Ink ink = function.patched ? Ink::warn : Ink::plain;
    std::string line =
        fmt::format("  {}{}", padded(paint_(ink, function.change), kChangeColumn), padded(name, kNameColumn));
    if (!function.file.empty())
      line += fmt::format(" {}{}", function.file, function.line != 0 ? fmt::format(":{}", function.line) : "");
    line += "  " + sizes(function);
    while (line.back() == ' ') line.pop_back();
    out_ += line + "\n";
    write_because(function.because);
  }

  static std::string sizes(const ReportFunction& function) {
    if (function.old_size != 0 && function.new_size != 0 && function.old_size != function.new_size) {
      return fmt::format("{} -> {} bytes", function.old_size, function.new_size);
    }
    const uint64_t size = std::max(function.old_size, function.new_size);
    return size != 0 ? fmt::format("{} bytes", size) : std::string();
  }

  void write_data(const ReportData& data) {
    out_ += fmt::format("  {}{} {}, {} bytes\n", padded(data.change, kChangeColumn), padded(data.name, kNameColumn),
                        data.section.empty() ? "data" : data.section, data.size);
    write_because(data.because);
  }

  void write_because(const std::vector<std::string>& because) {
    const std::string indent(2 + kChangeColumn, ' ');
    for (size_t i = 0; i < because.size(); ++i) {
      out_ += wrapped(indent + (i == 0 ? "because " : "    and "), because[i]);
    }
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
  std::string out_;
};

}  // namespace

std::string report_text(const Report& report, bool color) {
  return TextWriter(report, color).write();
}

}  // namespace klp::report
