#include "report_fill.h"

#include <cstdio>

#include "kernel/target.h"
#include "support/files.h"
#include "support/log.h"

namespace klp::tools {

report::ReportUnit report_unit(const std::string& unit, const std::string& object, const diff::UnitResult& result) {
  report::ReportUnit out;
  out.unit = unit;
  out.object = object;
  const diff::IdentityReport& identity = result.identity;
  out.identity =
      report::ReportIdentity{static_cast<unsigned>(identity.matched), static_cast<unsigned>(identity.different),
                             static_cast<unsigned>(identity.absent)};
  if (identity.overridden > 0)
    out.notes.push_back(fmt::format(
        "{} overridden elsewhere in the shipped kernel",
        identity.overridden == 1 ? "1 weak function is" : fmt::format("{} weak functions are", identity.overridden)));
  for (const diff::FunctionReport& f : result.functions) {
    out.functions.push_back({f.name, f.change, f.patched, f.sympos, f.old_size, f.new_size, f.file, f.line, f.because});
  }
  for (const diff::DataReport& d : result.data)
    out.data.push_back({d.name, d.change, d.carried, d.section, d.size, d.because});
  for (const std::string& left_out : result.left_out) out.notes.push_back("also changed in the source: " + left_out);
  for (const diff::PlanState& state : result.plan.states)
    out.notes.push_back(fmt::format("declares the system state {}, version {}", state.id, state.version));
  out.klp_relocations = result.klp_relocations;
  for (const auto& [table, count] : result.special_entries) out.special_entries[table] = count;
  for (const auto& [table, count] : result.tested_keys) out.tested_keys[table] = count;
  return out;
}

void note_what_was_compared(const kernel::Kernel& kernel, bool as_shipped, report::ReportUnit& unit) {
  if (kernel::target_named(kernel.arch).code_flags.empty()) return;
  if (!as_shipped) {
    unit.identity.reset();
    unit.notes.emplace_back("compiled as a module's code, which the shipped code is not: the two were not compared");
  } else {
    unit.notes.emplace_back(
        "identity: compared with the shipped code, instruction by instruction, was the unit as the kernel's own "
        "options "
        "compile it; compiled for a module, each function refers to the same functions and strings");
  }
}

report::ReportKernel report_kernel(const kernel::Kernel& kernel) {
  return {kernel.name, kernel.release, kernel.arch, kernel.build_id};
}

void show_report(const report::Report& report, const std::string& json, bool color, bool verbose) {
  if (json != "-") fmt::print("{}", report::report_text(report, color, verbose));
  if (json == "-") {
    fmt::print("{}", report::report_json(report));
  } else if (!json.empty()) {
    write_file_atomically(json, report::report_json(report));
  }
  check(std::fflush(stdout) == 0, "cannot write to standard output");
}

void show_failure(const std::string& command, const std::string& json, const Error& error) {
  if (json.empty() || error.status() != ExitStatus::failed) return;
  report::Report report;
  report.command = command;
  report.version = KLP_VERSION;
  report.outcome = report::Outcome::failed;
  report.message = error.what();
  report.hint = error.hint();
  try {
    if (json == "-") {
      fmt::print("{}", report::report_json(report));
    } else {
      write_file_atomically(json, report::report_json(report));
    }
  } catch (const Error& second) {
    log("report").warn("{}", second.what());  // the first error is the one to tell; a full disk meets both
  }
}

ExitStatus status_of(report::Outcome outcome) {
  switch (outcome) {
    case report::Outcome::ok:
      return ExitStatus::ok;
    case report::Outcome::refused:
      return ExitStatus::refused;
    case report::Outcome::unchanged:
      return ExitStatus::unchanged;
    case report::Outcome::failed:
      break;
  }
  return ExitStatus::failed;
}

}  // namespace klp::tools
