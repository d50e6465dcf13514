// The address of a kernel function in patched code, on a kernel that checks indirect calls.
#include "engine_unit.h"

#include <catch2/catch.hpp>

namespace klp::test {
namespace {

using Names = std::set<std::string>;

struct Unit : EngineUnit {
  Unit() : EngineUnit("unit.c") {
    separate_vmlinux = true;
    Unit::traced(vmlinux, "f", {0x31, 0xc0, 0xc3}).global();
    for (const char* name : {"marked", "sealed"}) vmlinux.function(name, {0xf3, 0x0f, 0x1e, 0xfa, 0xc3}).global();
    vmlinux.function("bare", {0x90, 0x90, 0x90, 0x90, 0xc3}).global();
    vmlinux.function("tiny", {0xc3}).global();
    vmlinux.data("state", 8).global();
    Unit::traced(original, "f", {0x31, 0xc0, 0xc3}).global();
  }

  void seals() { vmlinux.table(".ibt_endbr_seal", to_bytes({0, 0, 0, 0})).refers(0, kRPc32, "sealed"); }

  /// The functions that the refusals name when the patched f does `mov $NAME, %rdi` with each.
  Names refused(std::initializer_list<const char*> taken) {
    Piece& f = Unit::traced(patched, "f", {0x33, 0xc0}).global();
    uint64_t at = 7;
    std::vector<std::byte> code = to_bytes({0xe8, 0, 0, 0, 0, 0x33, 0xc0});
    for (size_t i = 0; i < taken.size(); ++i)
      for (const int b : {0x48, 0xc7, 0xc7, 0, 0, 0, 0}) code.push_back(static_cast<std::byte>(b));
    f.bytes(code);
    for (const char* name : taken) {
      f.refers(at + 3, kR32S, name);
      at += 7;
    }
    Names result;
    const diff::UnitResult unit = run();
    for (const Finding& finding : unit.findings.list()) {
      if (finding.severity != Severity::refusal) continue;
      CHECK(finding.code == "unsupported-relocation");
      const size_t from = finding.message.find("address of ") + 11;
      result.insert(finding.message.substr(from, finding.message.find(',') - from));
    }
    return result;
  }
};

}  // namespace

TEST_CASE("an address that the kernel allows direct calls of only is refused") {
  Unit u;
  u.seals();
  CHECK(u.refused({"marked", "sealed", "bare", "tiny", "state"}) == Names{"sealed", "bare", "tiny"});
}

TEST_CASE("calls of the same functions are not") {
  Unit u;
  u.seals();
  Unit::traced(u.patched, "f", {0x33, 0xc0}).global().calls("sealed").calls("bare");
  const diff::UnitResult result = u.run();
  CHECK_FALSE(result.findings.has_refusal());
  CHECK(result.klp_relocations == 2);
}

TEST_CASE("a kernel that does not check indirect calls has no such functions") {
  Unit u;
  CHECK(u.refused({"marked", "sealed", "bare"}).empty());
}

}  // namespace klp::test
