// From the engine's results to the report's plain data.
#pragma once

#include "diff/engine.h"
#include "kernel/kernel.h"
#include "report/report.h"
#include "support/error.h"

namespace klp::tools {

report::ReportUnit report_unit(const std::string& unit, const std::string& object, const diff::UnitResult& result);
/// Says of a unit whose code for a module is compiled otherwise than the kernel's what was held against the shipped
/// code: the same unit compiled `as_shipped`, or nothing.
void note_what_was_compared(const kernel::Kernel& kernel, bool as_shipped, report::ReportUnit& unit);

report::ReportKernel report_kernel(const kernel::Kernel& kernel);

/// Prints the text report on stdout, or the JSON one where `json` says ("-": stdout instead of the text; empty: none).
void show_report(const report::Report& report, const std::string& json, bool color, bool verbose);

/// The JSON report of a command that `error` ended, where `json` says. An interruption and wrong usage leave none.
/// Never throws an Error.
void show_failure(const std::string& command, const std::string& json, const Error& error);

/// The exit status that belongs to an outcome.
ExitStatus status_of(report::Outcome outcome);

}  // namespace klp::tools
