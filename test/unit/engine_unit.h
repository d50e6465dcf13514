// A unit in memory for tests of the engine: the object before and after, and the kernel's symbols.
#pragma once

#include "diff/engine.h"
#include "elf_fixture.h"

namespace klp::test {

struct EngineUnit {
  ObjectFixture original, patched, vmlinux;
  elf::Exports exports;
  diff::TableSizes sizes;
  std::set<std::string, std::less<>> wanted;
  std::string object = "vmlinux";
  bool separate_vmlinux = false;  ///< else the original stands for the shipped binary
  bool carry_new_globals = false;
  std::map<std::string, std::string, std::less<>> anew;
  const diff::OutsideUses* outside = nullptr;

  explicit EngineUnit(const char* vmlinux_file, uint16_t machine = ObjectFixture::kX86_64, uint32_t flags = 0)
      : original(machine, flags), patched(machine, flags), vmlinux(machine, flags) {
    for (ObjectFixture* f : {&original, &patched}) f->file("unit.c");
    vmlinux.file(vmlinux_file);
    exports["__fentry__"] = {1, "vmlinux", false, ""};
  }

  /// The same function on both sides, with an ftrace site in front.
  static Piece& traced(ObjectFixture& fixture, const char* name, std::initializer_list<int> body) {
    std::vector<std::byte> code = to_bytes({0xe8, 0, 0, 0, 0});
    for (int b : body) code.push_back(static_cast<std::byte>(b));
    return fixture.function(name, code).calls("__fentry__", 1);
  }

  diff::UnitResult run() {
    const elf::ElfObject a = original.result("original.o");
    const elf::ElfObject b = patched.result("patched.o");
    const elf::ElfObject v = vmlinux.result("vmlinux");
    const elf::SymbolIndex shipped(separate_vmlinux ? v : a), kernel(v);
    diff::UnitInput input;
    input.original = &a;
    input.patched = &b;
    input.unit = "unit.o";
    input.object = object;
    input.shipped = &shipped;
    input.vmlinux = &kernel;
    input.exports = &exports;
    input.table_sizes = sizes;
    input.wanted = wanted;
    input.carry_new_globals = carry_new_globals;
    input.anew = anew;
    input.outside = outside;
    return diff::analyse(input);
  }
};

}  // namespace klp::test
