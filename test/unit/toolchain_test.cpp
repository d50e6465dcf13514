// A compiler that is not the host's: a script stands for it.
#include <catch2/catch.hpp>

#include <cstdlib>

#include "kernel/kernel.h"
#include "kernel/replay.h"
#include "kernel/toolchain.h"
#include "support/files.h"
#include "support/run.h"

namespace klp::kernel {
namespace {

/// A cache and a root with programs that say how they were called.
class Fixture {
 public:
  Fixture() : place_(fs::temp_directory_path(), "toolchain-test") {
    const char* before = std::getenv("KLP_DIFF_CACHE");
    if (before != nullptr) before_ = before;
    setenv("KLP_DIFF_CACHE", (place_.path() / "cache").c_str(), 1);
    fs::create_directories(root() / "usr/bin");
  }
  ~Fixture() { before_.empty() ? unsetenv("KLP_DIFF_CACHE") : setenv("KLP_DIFF_CACHE", before_.c_str(), 1); }

  fs::path root() const { return place_.path() / "root"; }

  void add_program(const std::string& name, const std::string& text) const {
    const fs::path file = root() / "usr/bin" / name;
    write_file_atomically(file, "#!/bin/sh\n" + text + "\n");
    fs::permissions(file, fs::perms(0755));
  }

 private:
  TempDir place_;
  std::string before_;
};

const std::string kText = "gcc-98 (Debian 9.8-1) 9.8.0";

TEST_CASE("a compiler in a directory is run with its own libraries and assembler", "[toolchain]") {
  const Fixture fixture;
  fixture.add_program("gcc-98", "echo \"$LD_LIBRARY_PATH|$*\"");
  fixture.add_program("x86_64-linux-gnu-as", "echo as");
  const fs::path program = toolchain_compiler(fixture.root(), "gcc-98");
  const std::string real = fs::canonical(fixture.root()).string();
  const std::string said = run_checked({program.string(), "-c", "a b.c"});
  CHECK_THAT(said, Catch::StartsWith(real + "/usr/lib/x86_64-linux-gnu|-c a b.c -B"));
  const size_t at = said.find("-B") + 2;
  CHECK(run_checked({said.substr(at, said.find('\n', at) - at) + "as"}) == "as\n");
  REQUIRE(toolchain_variables(program.string(), target_named("x86_64")).size() == 1);
  CHECK(run_checked({toolchain_variables(program.string(), target_named("x86_64"))[0].substr(14) + "as"}) == "as\n");
  CHECK(toolchain_variables("gcc-98", target_named("x86_64")).empty());
}

TEST_CASE("a directory without the compiler, or with another one, is told", "[toolchain]") {
  const Fixture fixture;
  try {
    toolchain_compiler(fixture.root(), "gcc-98");
    FAIL("no compiler, and no error");
  } catch (const Error& error) {
    CHECK_THAT(error.what(), Catch::StartsWith("compiler-mismatch: "));
    CHECK_THAT(error.hint(), Catch::Contains("cpp-98, libgcc-98-dev"));
  }
  fixture.add_program("gcc-98", "echo 'gcc-98 (Debian 9.8-2) 9.8.1'");
  const std::string program = choose_compiler({"gcc-98", kText}, fixture.root());
  CHECK_THROWS_WITH(check_compiler({program, kText}), Catch::Contains("here is 'gcc-98 (Debian 9.8-2) 9.8.1'"));
  fixture.add_program("gcc-98", "echo 'libbfd.so: no such file' >&2; exit 127");
  CHECK_THROWS_WITH(check_compiler({program, kText}), Catch::Contains("does not run: libbfd.so"));
}

TEST_CASE("without a chosen directory: the host's compiler, else what fetch has put into the cache", "[toolchain]") {
  const Fixture fixture;
  const Compiler compiler{"gcc-98", kText};
  CHECK(toolchain_directory(compiler) == cache_root() / "toolchains/gcc-98_9.8-1");
  CHECK(toolchain_directory({"gcc-98", "gcc-98 (GCC) 9.8"}).empty());
  CHECK(choose_compiler(compiler, {}) == "gcc-98");  // check_compiler() says that it is missing
  fixture.add_program("gcc-98", "echo '" + kText + "'");
  fs::create_directories(cache_root() / "toolchains");
  fs::rename(fixture.root(), toolchain_directory(compiler));
  const std::string kept = choose_compiler(compiler, {});
  CHECK(fs::path(kept).filename() == "gcc-98");
  CHECK_NOTHROW(check_compiler({kept, kText}));
}

TEST_CASE("a recorded command is replayed with the chosen compiler", "[toolchain]") {
  Unit unit;
  unit.unit = "a.o";
  unit.command = "/old/place/gcc-98 -Wp,-MMD,.a.o.d -D__KERNEL__ -c -o a.o a.c";
  const std::string script = replay_script(unit, "/r", "/s", "/out/a.o", "/out/a.d", {}, ReplayOutput::object,
                                           compiler_words("ccache", "/n/gcc-98"));
  CHECK_THAT(script, Catch::Contains("; ccache /n/gcc-98 -Wp,-MMD,'/out/a.d' "));
  CHECK_THAT(script, !Catch::Contains("/old/place"));
  CHECK_THAT(replay_script(unit, "/r", "/s", "/out/a.o", "/out/a.d"), Catch::Contains("/old/place/gcc-98 "));
}

TEST_CASE("objtool that waits for the link does not look at a module's only unit", "[toolchain]") {
  Unit unit;
  unit.unit = "a.o";
  unit.command = "gcc-12 -Wp,-MMD,.a.o.d -c -o a.o a.c   ; ./tools/objtool/objtool --orc --ibt  --link  --module a.o";
  const std::string script = replay_script(unit, "/r", "/s", "/out/a.o", "/out/a.d");
  CHECK_THAT(script, Catch::Contains(" -c -o '/out/a.o' a.c") && !Catch::Contains("objtool"));
  unit.command = "gcc-12 -Wp,-MMD,.a.o.d -c -o a.o a.c   ; ./tools/objtool/objtool --orc a.o";
  CHECK_THAT(replay_script(unit, "/r", "/s", "/out/a.o", "/out/a.d"), Catch::Contains("objtool' --orc '/out/a.o'"));
}

}  // namespace
}  // namespace klp::kernel
