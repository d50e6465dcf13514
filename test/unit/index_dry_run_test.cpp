#include <catch2/catch.hpp>

#include "kernel/dry_run.h"

namespace klp::kernel {
namespace {

const std::string kTrap = "set -e;  echo '  CC      x';    trap 'rm -f x; trap - PIPE; kill -s PIPE $$' PIPE; ";

std::string recipe(const std::string& command) {
  return kTrap + command + "; scripts/basic/fixdep .x.d x '" + command + "' > .x.cmd; rm -f .x.d\n";
}

std::string compile(const std::string& flags, const std::string& stem) {
  return "gcc-12 -Wp,-MMD,.x.d -I./include -D__KERNEL__ " + flags + " -c -o " + stem + ".o " + stem +
         ".c   ; ./tools/objtool/objtool --orc " + stem + ".o";
}

std::string module(const std::string& directory, const std::string& name, const std::string& objects) {
  return kTrap + "printf '%s\\n'   " + objects + " | awk '!x[$0]++ { print(\"" + directory + "/\"$0) }' > " +
         directory + "/" + name + ".mod; printf '%s\\n' 'cmd_a.mod := x' > .a.mod.cmd\n";
}

std::map<std::string, Unit> units_of(const std::string& output) {
  return parse_dry_run(output).units;
}

TEST_CASE("a built-in unit: name, source, and the command with objtool but without fixdep", "[index]") {
  const auto units = units_of(recipe(compile("-DKBUILD_MODNAME='\"proc\"'", "fs/proc/stat")));
  REQUIRE(units.size() == 1);
  const Unit& unit = units.at("fs/proc/stat.o");
  CHECK(unit.source == "fs/proc/stat.c");
  CHECK(unit.objects == std::vector<std::string>{"vmlinux"});
  CHECK(unit.command == compile("-DKBUILD_MODNAME='\"proc\"'", "fs/proc/stat"));
}

TEST_CASE("a module's unit has the kernel's spelling of its name", "[index]") {
  const auto units = units_of(recipe(compile("-DMODULE -DKBUILD_MODNAME='\"intel_uncore\"'", "a/uncore")) +
                              module("a", "intel-uncore", "uncore.o other.o"));
  CHECK(units.at("a/uncore.o").objects == std::vector<std::string>{"intel_uncore"});
}

TEST_CASE("a unit in several modules names them all, whether said by the command or by the modules' parts", "[index]") {
  const std::string shared = recipe(compile("-DMODULE -DKBUILD_MODNAME='\"liquidio:liquidio_vf\"'", "d/octeon"));
  CHECK(units_of(shared).at("d/octeon.o").objects == std::vector<std::string>{"liquidio", "liquidio_vf"});
  const std::string unsaid = recipe(compile("-DMODULE", "d/sub/octeon"));
  const auto units = units_of(unsaid + module("d", "b-two", "x.o sub/octeon.o") + module("d", "a-one", "sub/octeon.o"));
  CHECK(units.at("d/sub/octeon.o").objects == std::vector<std::string>{"a_one", "b_two"});
}

TEST_CASE("kernels before 5.16 run objtool in a recipe of its own: it becomes part of the unit's command", "[index]") {
  const std::string command = "gcc-10 -Wp,-MMD,.x.d -D__KERNEL__ -c -o fs/a.o fs/a.c";
  const auto units = units_of(recipe(command) + kTrap + "\n" + kTrap +
                              " ./tools/objtool/objtool orc generate  --no-fp --retpoline fs/a.o\n" +
                              recipe("gcc-10 -Wp,-MMD,.x.d -D__KERNEL__ -c -o fs/b.o fs/b.c"));
  CHECK(units.at("fs/a.o").command == command + " ; ./tools/objtool/objtool orc generate  --no-fp --retpoline fs/a.o");
  CHECK(units.at("fs/b.o").command.find("objtool") == std::string::npos);
}

TEST_CASE("kernels before 5.19 list a module's objects with echo", "[index]") {
  const std::string mod = kTrap +
                          "{ echo  fs/fat/cache.o fs/fat/../fat/dir.o;  echo; } > fs/fat/fat-x.mod; printf "
                          "'%s\\n' 'cmd_fs/fat/fat.mod := x' > fs/fat/.fat.mod.cmd\n";
  const auto units =
      units_of(recipe(compile("-DMODULE", "fs/fat/dir")) + recipe(compile("-DMODULE", "fs/fat/cache")) + mod);
  CHECK(units.at("fs/fat/dir.o").objects == std::vector<std::string>{"fat_x"});
  CHECK(units.at("fs/fat/cache.o").objects == std::vector<std::string>{"fat_x"});
}

TEST_CASE("assembly, generated headers' sources and linker scripts are units", "[index]") {
  const auto units =
      units_of(recipe("gcc-12 -D__KERNEL__ -D__ASSEMBLY__ -c -o arch/x86/entry/e.o arch/x86/entry/e.S  ") +
               recipe("gcc-12 -D__KERNEL__ -fverbose-asm -S -o ./kernel/bounds.s kernel/bounds.c") +
               recipe("gcc-12 -E -D__KERNEL__ -P -o arch/x86/kernel/vmlinux.lds arch/x86/kernel/vmlinux.lds.S"));
  CHECK(units.at("arch/x86/entry/e.o").source == "arch/x86/entry/e.S");
  CHECK(units.at("kernel/bounds.s").source == "kernel/bounds.c");
  CHECK(units.at("arch/x86/kernel/vmlinux.lds").source == "arch/x86/kernel/vmlinux.lds.S");
}

TEST_CASE("host programs and checks are no units", "[index]") {
  CHECK(units_of(recipe("gcc -Wall -c -o scripts/x.o scripts/x.c")).empty());
  CHECK(units_of(recipe("sh scripts/test.sh gcc-12 -D__KERNEL__ -o lib/t.log lib/t.c")).empty());
  CHECK(units_of("make -f scripts/Makefile.build -D__KERNEL__ -c -o a.o a.c\n").empty());
}

TEST_CASE("sources that kbuild generates are named, except those of special images", "[index]") {
  const auto generate = [](const std::string& file) {
    return "set -e;  echo '  GEN     x';    trap 'rm -f " + file + "; trap - PIPE; kill -s PIPE $$' PIPE; ./gen > " +
           file + "\n";
  };
  const std::string check =
      "set -e; mkdir -p arch/x86/kvm/; trap \"rm -f arch/x86/kvm/.offsets.h.tmp\" EXIT; { echo; } > x\n";
  const auto generated =
      parse_dry_run(generate("security/selinux/flask.h") + check + generate("lib/crc.o") + generate("a/vdso/image.c") +
                    generate("security/selinux/flask.h") + generate("lib/tables.c"))
          .generated;
  CHECK(generated == std::vector<std::string>{"arch/x86/kvm/offsets.h", "lib/tables.c", "security/selinux/flask.h"});
}

}  // namespace
}  // namespace klp::kernel
