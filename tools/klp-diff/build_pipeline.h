// The build command's phases, from patches or two build trees to the finished module.
#pragma once

#include <string>
#include <vector>

#include "diff/livepatch_module.h"
#include "kernel/kernel.h"
#include "report/report.h"

namespace klp::tools {

struct BuildOptions {
  kernel::KernelSelection kernel;
  std::vector<std::filesystem::path> patches;
  std::filesystem::path original_tree, patched_tree;  ///< instead of patches: both or none
  std::filesystem::path output;                       ///< file or existing directory (with split: directory); empty: here
  std::string name;  ///< module name; empty: made from the first patch's or the patched tree's file name
  bool replace = true;
  bool split = false;  ///< a module for each patched object, NAME_OBJECT; none of them replaces others
  unsigned jobs = 0;
  std::string cc_launcher;         ///< put before the compiler: ccache, distcc, icecc; may have arguments
  std::filesystem::path work_dir;  ///< empty: the system's temporary directory
  bool keep = false;               ///< keep the working directory and say where it is
  bool use_cache = true;           ///< take compiled originals from the cache
  bool plan = false;               ///< stop before writing; the plan is in BuildResult
  std::vector<std::string> accept;
  size_t max_caller_units = 8;  ///< so many units may join because they call what is carried anew
};

/// A unit as it was compiled, for one object.
struct BuiltUnit {
  std::string unit, object;
  std::filesystem::path patched;  ///< the object made from the patched source
};

struct BuildResult {
  report::Report report;
  std::string plan;                      ///< text of the plan, when asked for
  std::vector<BuiltUnit> units;          ///< with BuildOptions::keep, for those who check the module against its origin
  std::vector<diff::PatchObject> plans;  ///< likewise
};

/// Runs a build. Refusals are in the report; Errors are bad input and missing things.
BuildResult run_build(const BuildOptions& options);

}  // namespace klp::tools
