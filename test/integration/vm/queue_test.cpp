// A queue of livepatches, each on its own: a failure does not stop the others, and what cannot be applied yet is named.
#include <catch2/catch.hpp>

#include "vm/livepatch_queue.h"
#include "vm_suite.h"

using namespace klp;
using namespace klp::test;

namespace {

/// A copy of a livepatch that the guest's kernel refuses: it was made for another one.
fs::path for_another_kernel(const fs::path& livepatch) {
  std::string content = read_file(livepatch);
  const size_t at = content.find(" modversions", content.find("vermagic="));
  REQUIRE(at != std::string::npos);
  content[at + 1] = 'M';  // the release is not compared where symbols have versions
  const fs::path copy = livepatch.parent_path() / "livepatch_other_kernel.ko";
  write_file_atomically(copy, content);
  return copy;
}

}  // namespace

TEST_CASE("a queue goes on after a failure, with the patched modules loaded where the kernel can", "[vm][x86]") {
  Suite& suite = Suite::get();
  const fs::path vmlinux = suite.livepatch("meminfo-string").file, module = suite.livepatch("module-function").file,
                 absent = suite.livepatch("absent-device").file, refused = for_another_kernel(vmlinux);
  CHECK(vm::patched_modules(vmlinux).empty());
  CHECK(vm::patched_modules(module) == std::vector<std::string>{"zram"});
  CHECK(vm::patched_modules(absent) == std::vector<std::string>{"hv_balloon"});

  vm::QueueOptions options;
  options.vm.directory = suite.directory("queue");
  std::vector<vm::QueueResult> results;
  vm::run_livepatch_queue(suite.kernel(), {module, refused, absent, vmlinux}, options,
                          [&](const vm::QueueResult& result) { results.push_back(result); });
  REQUIRE(results.size() == 4);

  CHECK(results[0].check.failure.empty());
  CHECK(results[0].check.good);
  CHECK(results[0].loaded == std::vector<std::string>{"zram"});
  CHECK(results[0].late.empty());
  CHECK(results[0].check.messages.find("applying patch 'livepatch_module_function' to loading module") ==
        std::string::npos);  // it was there before

  CHECK_FALSE(results[1].check.good);
  CHECK_THAT(results[1].check.failure, Catch::Contains("the kernel refuses livepatch_other_kernel.ko"));

  CHECK(results[2].check.failure.empty());
  CHECK(results[2].check.good);
  CHECK(results[2].loaded.empty());
  REQUIRE(results[2].late.size() == 1);
  CHECK(results[2].late[0].first == "hv_balloon");
  CHECK_FALSE(results[2].late[0].second.empty());

  CHECK(results[3].check.failure.empty());
  CHECK(results[3].check.good);
}
