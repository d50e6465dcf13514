// The report of one run of build or extract, as plain data: the command fills it, the writers below turn it into text
// or JSON (schema klp-diff/1).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "report/header_reach.h"
#include "support/finding.h"

namespace klp::report {

enum class Outcome { ok, refused, unchanged, failed };

struct ReportKernel {
  std::string name;  ///< "debian:6.1.0-56-cloud-amd64"; may be empty
  std::string release, arch, build_id;
};

struct ReportModule {
  std::string name;
  std::string file;   ///< the path as the user gave it or will find it
  uint64_t size = 0;  ///< bytes
  std::string sha256;
};

/// Functions of the original unit held against the shipped binary.
struct ReportIdentity {
  unsigned matched = 0, different = 0, absent = 0;
};

struct ReportFunction {
  std::string name;
  std::string change;                   ///< "changed", "new", "removed", "lifted", "bundled"
  bool patched = false;                 ///< calls of the old one are redirected to it
  uint64_t sympos = 0;                  ///< 0: the name is unique in its object
  uint64_t old_size = 0, new_size = 0;  ///< bytes; 0: not there
  std::string file;                     ///< may be empty
  unsigned line = 0;
  std::vector<std::string> because;  ///< a whole sentence, then the chain of reasons, nearest first
};

struct ReportData {
  std::string name;
  std::string change;    ///< "new", "changed", "removed", "bundled"
  bool carried = false;  ///< in the module; else the kernel's own stays as it is
  std::string section;
  uint64_t size = 0;
  std::vector<std::string> because;
};

struct ReportUnit {
  std::string unit;                        ///< "fs/proc/meminfo.o"
  std::string object;                      ///< "vmlinux" or a module's name
  std::optional<ReportIdentity> identity;  ///< none: not held against a shipped binary
  std::vector<ReportFunction> functions;
  std::vector<ReportData> data;
  uint64_t klp_relocations = 0;
  std::map<std::string, uint64_t> special_entries;   ///< kernel table -> entries carried
  std::map<std::string, uint64_t> tested_keys;       ///< the same, static branches that became run-time tests
  std::map<std::string, uint64_t> deferred_entries;  ///< the same, processed when the patched module arrives
  std::vector<std::string> notes;  ///< how it was compiled, what is not in the module; a sentence each
};

struct Report {
  std::string command;  ///< "build" or "extract"
  std::string version;  ///< of klp-diff
  Outcome outcome = Outcome::ok;
  std::string message;  ///< why it failed; empty unless outcome is failed
  std::string hint;     ///< what can be done about it; may be empty
  std::optional<ReportKernel> kernel;
  std::optional<ReportModule> module;
  std::vector<ReportModule> further_modules;  ///< build --split: `module` is the first of several
  std::vector<ReportUnit> units;
  HeaderReach header_reach;
  std::vector<Finding> findings;                        ///< as Findings::sorted() gives them: shown in this order
  std::vector<std::pair<std::string, long>> timing_ms;  ///< phases in order; their sum is the total
};

/// The words of the schema.
std::string_view to_string(Outcome outcome);

long total_ms(const Report& report);

/// For people, at most 120 columns wide (long names and paths excepted). The outcome is in the first line. `verbose`:
/// not only why each function is there, but also where it stands, its sizes, and the whole chain of reasons.
std::string report_text(const Report& report, bool color, bool verbose = false);

/// One JSON document, indented, keys in the order of the schema, with a final line feed. Bytes that are no UTF-8 are
/// replaced.
std::string report_json(const Report& report);

/// Measures phases that follow each other without a gap, so that they add up to the whole.
class PhaseClock {
 public:
  using Clock = std::chrono::steady_clock;
  explicit PhaseClock(Clock::time_point start = Clock::now()) : since_(start) {}

  /// Ends the running phase and begins another. A name that was there before adds to its first occurrence. Time before
  /// the first begin() counts for the first phase.
  void begin(const std::string& phase, Clock::time_point now = Clock::now());

  /// Ends the running phase; the milliseconds of all, rounded so that their sum is the rounded total.
  std::vector<std::pair<std::string, long>> finish(Clock::time_point now = Clock::now());

 private:
  Clock::time_point since_;
  size_t running_ = 0;
  std::vector<std::pair<std::string, Clock::duration>> phases_;
};

}  // namespace klp::report
