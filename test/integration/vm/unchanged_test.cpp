// Patches that change nothing that runs. They need the kernel, but no guest.
#include <catch2/catch.hpp>

#include "build_pipeline.h"
#include "vm_suite.h"

using namespace klp;
using namespace klp::test;

TEST_CASE("a patch that changes no code", "[vm]") {
  const std::string patch = GENERATE(std::string("comments-only"), std::string("shifted-lines"));
  tools::BuildOptions options;
  options.kernel = Suite::get().selection();
  options.patches = {patch_file(patch)};
  options.work_dir = Suite::get().directory(patch);
  options.output = options.work_dir / "none.ko";
  const tools::BuildResult result = tools::run_build(options);
  INFO(report::report_text(result.report, false));
  CHECK(result.report.outcome == report::Outcome::unchanged);
  CHECK_FALSE(fs::exists(options.output));
}
