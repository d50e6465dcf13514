// The model of the module loader, with a kernel and livepatches of a few symbols.
#include "verify/loader.h"

#include <catch2/catch.hpp>

#include <cstring>

#include "loader_fixture.h"

using namespace klp;
using namespace klp::elf;
using namespace klp::verify;
using namespace klp::test;

namespace {

LoadResult load(const Patch& patch, std::set<std::string> loaded = {}) {
  const TestKernel kernel;
  const TargetKernel target = kernel.target();
  Loader loader(target, patch.file(), {std::move(loaded), {}});
  return loader.load();
}

void check_refused(const LoadResult& result, int error, const std::vector<std::string>& messages) {
  INFO(result.reason);
  CHECK(result.outcome == Outcome::refused);
  CHECK(result.error == error);
  CHECK(result.messages == messages);
}

std::vector<std::string> told(const std::vector<ReplayedEvent>& events) {
  std::vector<std::string> all;
  for (const ReplayedEvent& e : events) all.push_back(e.what + ": " + std::string(to_string(e.result.outcome)));
  return all;
}

}  // namespace

TEST_CASE("a sound livepatch is taken and its sections hold what was to be written", "[loader]") {
  const TestKernel kernel;
  const TargetKernel target = kernel.target();
  Loader anywhere(target, Patch{}.file(), {});
  anywhere.load();
  Situation situation;
  for (const LoadedSection& section : anywhere.sections()) situation.addresses["fix"][section.name] = section.address;
  situation.addresses["fix"][".text.fixed"] = 0x1000;
  Loader loader(target, Patch{}.file(), situation);
  const LoadResult result = loader.load();
  INFO(result.reason);
  REQUIRE(result.outcome == Outcome::accepted);
  CHECK(result.faults.empty());
  CHECK(loader.patched_objects() == std::vector<std::string>{"vmlinux"});
  for (const LoadedSection& section : loader.sections()) {
    if (section.name != ".text.fixed") continue;
    int32_t silent = 0, exported = 0;
    std::memcpy(&silent, section.memory.data() + 1, 4);
    std::memcpy(&exported, section.memory.data() + 6, 4);
    CHECK(silent == 64 - 4 - 0x1001);
    CHECK(exported == 80 - 4 - 0x1006);
  }
}

TEST_CASE("what the loader refuses, with the kernel's words", "[loader]") {
  Patch patch;
  SECTION("version magic") {
    patch.magic = "6.1.0-2-other SMP mod_unload modversions ";  // the release is not compared
    CHECK(load(patch).outcome == Outcome::accepted);
    patch.magic = "6.1.0-1-test mod_unload modversions ";
    check_refused(load(patch), ENOEXEC,
                  {"fix: version magic '" + patch.magic + "' should be '" + std::string(kMagic) + "'"});
  }
  SECTION("symbol version") {
    patch.crc = 1;
    check_refused(load(patch), EINVAL,
                  {"fix: disagrees about version of symbol exported", "fix: Unknown symbol exported (err -22)"});
  }
  SECTION("a field that is not zero") {
    patch.site_byte = 1;
    check_refused(load(patch), ENOEXEC,
                  {"x86/modules: Skipping invalid relocation target, existing value is nonzero for type 4, loc <...>, "
                   "val <...>"});
  }
  SECTION("a relocation that the loader does not know") {
    patch.type = 9;
    check_refused(load(patch), ENOEXEC, {"fix: Unknown rela relocation: 9"});
  }
  SECTION("no such symbol") {
    patch.reference = ".klp.sym.vmlinux.nowhere,0";
    check_refused(load(patch), EINVAL, {"symbol 'nowhere' not found in symbol table"});
  }
  SECTION("a symbol that is there twice") {
    patch.reference = ".klp.sym.vmlinux.twice,0";
    check_refused(load(patch), EINVAL, {"unresolvable ambiguity for symbol 'twice' in object '(null)'"});
    patch.reference = ".klp.sym.vmlinux.twice,2";
    CHECK(load(patch).outcome == Outcome::accepted);
    patch.reference = ".klp.sym.vmlinux.twice,3";
    check_refused(load(patch), EINVAL, {"symbol position 3 for symbol 'twice' in object 'vmlinux' not found"});
  }
  SECTION("a function without an ftrace site") {
    patch.old_function = "silent";
    check_refused(load(patch), EINVAL,
                  {"failed to find location for function 'silent'", "failed to patch object 'vmlinux'",
                   "failed to enable patch 'fix'"});
  }
  SECTION("a function whose site may be taken for another one's is taken, and that is a fault") {
    patch.old_function = "unsure";
    const LoadResult result = load(patch);
    CHECK(result.outcome == Outcome::accepted);
    REQUIRE(result.faults.size() == 1);
    CHECK_THAT(result.faults.front(), Catch::Contains("unsure is not redirected for sure"));
  }
  SECTION("a name that is longer than this kernel reads") {
    patch.reference = ".klp.sym.vmlinux." + std::string(128, 'x') + ",0";
    const LoadResult result = load(patch);
    CHECK(result.outcome == Outcome::refused);
    CHECK(result.error == EINVAL);
  }
  SECTION("no object file") {
    const TestKernel kernel;
    const TargetKernel target = kernel.target();
    std::vector<std::byte> file = patch.file();
    file[16] = std::byte{2};
    Loader loader(target, file, {});
    check_refused(loader.load(), ENOEXEC, {"Invalid ELF header type: 2 != 1"});
  }
}

TEST_CASE("other kernels say it with other words", "[loader]") {
  Patch patch;
  SECTION("5.10: one message for files that make no sense") {
    const TestKernel kernel(false, ObjectFixture::kX86_64,
                            with("Invalid ELF header type", "Module has invalid ELF structures"));
    const TargetKernel target = kernel.target();
    std::vector<std::byte> file = patch.file();
    file[16] = std::byte{2};
    Loader loader(target, file, {});
    check_refused(loader.load(), ENOEXEC, {"Module has invalid ELF structures"});
  }
  SECTION("7.2: the place of a field that is not zero") {
    const TestKernel kernel(
        true, ObjectFixture::kX86_64,
        with("x86/modules: Skipping",
             "x86/modules: Invalid relocation target, existing value is nonzero for sec %u, idx %u, type %d, loc %lx"));
    const TargetKernel target = kernel.target();
    patch.site_byte = 1;
    Loader loader(target, patch.file(), {});
    check_refused(
        loader.load(), ENOEXEC,
        {"x86/modules: Invalid relocation target, existing value is nonzero for sec <...>, idx <...>, type 4, "
         "loc <...>, val <...>"});
  }
}

TEST_CASE("kernels that relocate vmlinux's references late read tables before", "[loader]") {
  Patch patch;
  patch.jump_site = true;
  const TestKernel early;
  const TestKernel late(false, ObjectFixture::kX86_64, with("livepatch: symbol position", ".klp.arch.%55[^.].%127s"));
  for (const TestKernel* kernel : {&early, &late}) {
    const TargetKernel target = kernel->target();
    Loader loader(target, patch.file(), {});
    const LoadResult result = loader.load();
    INFO(result.reason);
    CHECK(result.faults.empty() == (kernel == &early));
    if (kernel == &late) CHECK(result.outcome == Outcome::unpredictable);
  }
}

TEST_CASE("pointers in per-cpu variables are written by some kernels only", "[loader]") {
  Patch patch;
  patch.pointer_per_cpu = true;
  const TestKernel kernel;
  for (const bool writes : {true, false}) {
    TargetKernel::Pieces pieces = kernel.pieces();
    pieces.source_has = [&](const std::string& file, const std::string&) {
      return writes || file == "kernel/livepatch/core.c";
    };
    const TargetKernel target(std::move(pieces));
    Loader loader(target, patch.file(), {});
    const LoadResult result = loader.load();
    CHECK(result.outcome == Outcome::accepted);
    CHECK(result.faults.empty() == writes);
  }
}

TEST_CASE("a call of a weak function that the kernel does not have goes to address 0", "[loader]") {
  Patch patch;
  patch.weak_import = true;
  CHECK(load(patch).outcome == Outcome::accepted);
  TestKernel kernel;
  kernel.exports = {};
  kernel.exports["module_layout"] = {0x99, "vmlinux", false, {}};
  const TargetKernel target = kernel.target();
  Loader loader(target, patch.file(), {});
  const LoadResult result = loader.load();
  CHECK(result.outcome == Outcome::unpredictable);
  patch.asks_for_import = true;
  Loader asks(target, patch.file(), {});
  CHECK(asks.load().outcome == Outcome::accepted);
  CHECK_THAT(result.reason, Catch::Contains("exported is weak and not in this kernel"));
}

TEST_CASE("a patched module comes, goes, and comes again", "[loader]") {
  Patch patch;
  patch.object = patch.owner = "late";
  patch.old_function = "in_module";
  patch.reference = ".klp.sym.late.in_module,0";
  const TestKernel forgets, clears(true);
  SECTION("the kernel leaves what it wrote") {
    const TargetKernel target = forgets.target();
    const auto events = replay(target, patch.file());
    CHECK(told(events) == std::vector<std::string>{"load: accepted", "late comes: accepted", "late goes: accepted",
                                                   "late comes again: refused",
                                                   "load, with the modules there: accepted"});
    CHECK(events.at(3).result.messages.back() ==
          "patch 'fix' failed for module 'late', refusing to load module 'late'");
  }
  SECTION("the kernel leaves it, but the livepatch's own callback clears it") {
    patch.clears = true;
    const TargetKernel target = forgets.target();
    for (const ReplayedEvent& event : replay(target, patch.file())) {
      INFO(event.what + event.result.reason);
      CHECK(event.good());
    }
  }
  SECTION("the kernel clears it") {
    const TargetKernel target = clears.target();
    for (const ReplayedEvent& event : replay(target, patch.file())) {
      INFO(event.what + event.result.reason);
      CHECK(event.good());
    }
  }
  SECTION("vmlinux is out of reach of a module's section") {
    patch.reference = ".klp.sym.vmlinux.shown,0";
    CHECK(load(patch).outcome == Outcome::accepted);
    check_refused(load(patch, {"late"}), EINVAL,
                  {"invalid access to vmlinux symbol 'shown' from module-specific livepatch relocation section"});
  }
  SECTION("a relocation in bytes that are replaced at load") {
    patch.jump_site = true;
    const LoadResult result = load(patch);
    CHECK(result.outcome == Outcome::accepted);
    REQUIRE(result.faults.size() == 1);
    CHECK_THAT(result.faults.front(), Catch::Contains("before they are relocated"));
    CHECK(load(patch, {"late"}).outcome == Outcome::unpredictable);
  }
}
