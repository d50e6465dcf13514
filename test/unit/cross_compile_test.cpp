// Compiling for ppc64le: the names of the target, the compiler's starter, and the assembler behind it.
#include <catch2/catch.hpp>

#include <cstdlib>

#include "elf/btf.h"
#include "elf/elf_object.h"
#include "kernel/by_path.h"
#include "kernel/toolchain.h"
#include "support/bytes.h"
#include "support/files.h"
#include "support/run.h"

namespace klp::kernel {
namespace {

constexpr uint32_t kNop = 0x60000000;

/// A cache of its own for the starters.
class Fixture {
 public:
  Fixture() : place_(fs::temp_directory_path(), "cross-test") {
    const char* before = std::getenv("KLP_DIFF_CACHE");
    if (before != nullptr) before_ = before;
    setenv("KLP_DIFF_CACHE", (place_.path() / "cache").c_str(), 1);
  }
  ~Fixture() { before_.empty() ? unsetenv("KLP_DIFF_CACHE") : setenv("KLP_DIFF_CACHE", before_.c_str(), 1); }

  const fs::path& path() const { return place_.path(); }

  fs::path write(const std::string& name, const std::string& text) const {
    write_file_atomically(path() / name, text);
    return path() / name;
  }

  void add_program(const std::string& name) const {
    write("bin/" + name, "#!/bin/sh\necho " + name + " \"$@\"\n");
    fs::permissions(path() / "bin" / name, fs::perms(0755));
  }

 private:
  TempDir place_;
  std::string before_;
};

const Target& power() {
  return target_named("ppc64le");
}

std::string host_cross_compiler() {
  return cross_compiler(power(), {"gcc-12", "gcc-12 (Debian 12.2.0-14) 12.2.0"}, "");
}

/// Calls in .text whose next word is no NOP.
size_t bare_calls(const fs::path& file) {
  const auto object = elf::ElfObject::read(file);
  size_t count = 0;
  for (const elf::Relocation& r : object.maybe_section(".text")->relocations) {
    const auto data = r.section->data;
    const bool is_call =
        (read_le<uint32_t>(data, r.offset) >> 26) == 18 && (read_le<uint32_t>(data, r.offset) & 1) != 0;
    if (is_call && read_le<uint32_t>(data, r.offset + 4) != kNop) ++count;
  }
  return count;
}

const std::string kSource =
    "int own(int); __attribute__((noinline)) int own(int x) { asm volatile(\"\" : \"+r\"(x)); return x; }\n"
    "int f(int x) { return own(x) + own(x + 1); }\n";

TEST_CASE("an architecture has several names", "[cross]") {
  CHECK(target_named("ppc64").arch == "ppc64le");
  CHECK(target_named("powerpc").debian == "ppc64el");
  CHECK(target_named("amd64").kbuild == "x86");
  CHECK(target_of_machine(21).arch == "ppc64le");
  CHECK_THROWS_WITH(target_named("sparc"), Catch::Contains("'sparc' is no architecture"));
  CHECK_THROWS_WITH(target_of_machine(183), Catch::Contains("machine 183"));
}

TEST_CASE("a kernel for another machine than --arch says is wrong usage", "[cross]") {
  Kernel kernel;
  kernel.name = "6.1.0";
  kernel.arch = "ppc64le";
  KernelSelection selection;
  CHECK_NOTHROW(check_architecture(kernel, selection));
  selection.arch = "ppc64";
  CHECK_NOTHROW(check_architecture(kernel, selection));
  selection.arch = "x86_64";
  CHECK_THROWS_WITH(check_architecture(kernel, selection), Catch::Contains("6.1.0 is a kernel for ppc64le"));
}

TEST_CASE("a cross compiler's starter names the assembler; the binutils are beside it", "[cross]") {
  const Fixture fixture;
  fs::create_directories(fixture.path() / "bin");
  const std::string prefix = (fixture.path() / "bin/my-").string();
  const Compiler compiler{"powerpc64le-linux-gnu-gcc-98", ""};
  CHECK(cross_compiler(power(), compiler, prefix) == prefix + "gcc-98");  // check_compiler() says that it is missing
  fixture.add_program("my-gcc-98");
  CHECK_THROWS_WITH(cross_compiler(power(), compiler, prefix), Catch::Contains("my-ld is missing"));
  for (const char* name : {"my-ld", "my-ar", "my-nm", "my-objcopy", "my-objdump", "my-readelf", "my-strip", "my-as"})
    fixture.add_program(name);
  const std::string program = cross_compiler(power(), compiler, prefix);
  const std::string said = run_checked({program, "-c", "a b.c"});
  CHECK_THAT(said, Catch::StartsWith("my-gcc-98 -B" + cache_root().string()));
  CHECK_THAT(said, Catch::EndsWith(" -c a b.c\n"));
  const auto variables = toolchain_variables(program, power());
  REQUIRE(variables.size() == 1);
  CHECK(run_checked({variables[0].substr(14) + "ld", "-r"}) == "my-ld -r\n");
}

TEST_CASE("the compiler behind the starter completes calls, by a pipe or a file", "[cross]") {
  const Fixture fixture;
  const fs::path source = fixture.write("a.c", kSource), object = fixture.path() / "a.o";
  run_checked({"powerpc64le-linux-gnu-gcc-12", "-O2", "-c", "-o", object.string(), source.string()});
  REQUIRE(bare_calls(object) == 2);
  for (const char* option : {"-pipe", "-g"}) {  // without -pipe, by a file
    run_checked({host_cross_compiler(), "-O2", option, "-c", "-o", object.string(), source.string()});
    CHECK(bare_calls(object) == 0);
  }
}

TEST_CASE("assembly that gcc did not write, and faulty assembly, go through", "[cross]") {
  const Fixture fixture;
  const fs::path source = fixture.write("b.S", "\t.globl g\ng:\tbl h\n\tblr\n"), object = fixture.path() / "b.o";
  run_checked({host_cross_compiler(), "-c", "-o", object.string(), source.string()});
  CHECK(bare_calls(object) == 1);
  fixture.write("c.S", "\tno such instruction\n");
  const RunResult result = run({host_cross_compiler(), "-c", "-o", object.string(), (fixture.path() / "c.S").string()});
  CHECK(result.status != 0);
  CHECK_THAT(result.output, Catch::Contains("Error:"));
  const fs::path assembler = fs::path(host_cross_compiler()).parent_path() / "short/as";
  CHECK_THAT(run({assembler.string(), "--version"}).output, Catch::Contains("GNU assembler"));
}

TEST_CASE("struct sizes come from DWARF where there is no BTF", "[cross]") {
  const Fixture fixture;
  const fs::path source = fixture.write("d.c", "struct bug_entry { int a, b; short c; }; struct bug_entry e = {1};\n");
  const fs::path program = fixture.path() / "d";
  run_checked({"gcc", "-g", "-nostdlib", "-shared", "-o", program.string(), source.string()});
  CHECK_FALSE(elf::read_image_facts(program).has_btf);
  CHECK(elf::struct_sizes_from_dwarf(program, {"bug_entry", "alt_instr"}) ==
        std::map<std::string, uint64_t>{{"bug_entry", 12}});
  run_checked({"strip", program.string()});
  CHECK_THROWS_WITH(elf::struct_sizes_from_dwarf(program, {"bug_entry"}), Catch::Contains("no readable debug"));
}

}  // namespace
}  // namespace klp::kernel
