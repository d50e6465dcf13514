// What it would take to bring the first of two builds to the second one without a reboot.
#pragma once

#include <string>

#include "report/compare_report.h"

namespace klp::report {

/// What a livepatch could do about one difference. `build` decides with the source at hand; what two binaries alone do
/// not tell is unknown.
enum class Carried {
  patched,  ///< the function has an ftrace site: calls are redirected
  lifted,   ///< it has none, but functions that call it have
  with,     ///< carried along: what is new; the descriptors of debug messages
  inert,    ///< boot-time code and data: it ran already, or is gone
  left,     ///< a removed one stays where it is
  refused,  ///< data that the running kernel has in use; code that ftrace must not touch and nobody calls directly
  unknown
};

struct CarriedAs {
  Carried how = Carried::unknown;
  std::string why;  ///< a few words; may be empty
};

CarriedAs function_carried(const diff::ImageChange& change);
CarriedAs variable_carried(const diff::ImageChange& change);

/// "patched", "lifted", ...
std::string_view name_of(Carried how);

/// The summary, and each function and variable that is neither patched nor carried along (the first ones, without
/// `all`).
std::string compare_livepatch_text(const CompareReport& report, const CompareTextOptions& options);

}  // namespace klp::report
