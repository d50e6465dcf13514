// The model of the module loader on ppc64le: stubs, r2, the NOP behind a call, and what is refused.
#include <catch2/catch.hpp>

#include <elf.h>

#include "loader_fixture.h"

using namespace klp;
using namespace klp::test;

namespace {

constexpr std::string_view kMessagesOfPower[] = {
    "module_64: %s: doesn't contain .stubs.",           "module_64: %s: Expected nop after call, got %08x at %pS",
    "module_64: %s: Unknown ADD relocation: %lu",       "module_64: %s: REL24 %li out of range!",
    "module_64: %s: REL32 %li out of range!",           "module_64: %s: bad TOC16_DS relocation (0x%lx)",
    "module_64: %s: bad TOC16_LO_DS relocation (0x%lx)"};

constexpr uint32_t kCall = 0x48000001, kJump = 0x48000000, kNop = 0x60000000, kReturn = 0x4e800020,
                   kRestore = 0xe8410018, kLoad = 0xe8420000;

std::vector<std::byte> words(const std::vector<uint32_t>& all) {
  std::vector<std::byte> bytes(all.size() * sizeof(uint32_t));
  std::memcpy(bytes.data(), all.data(), bytes.size());
  return bytes;
}

uint32_t word(const LoadedSection& section, uint64_t at) {
  uint32_t result = 0;
  std::memcpy(&result, section.memory.data() + at, sizeof result);
  return result;
}

struct Power {
  TestKernel kernel{false, ObjectFixture::kPpc64, kMessagesOfPower};
  TargetKernel target;

  explicit Power(bool takes_restored = false, bool protects = true) : target(pieces(takes_restored, protects)) {}

  TargetKernel::Pieces pieces(bool takes_restored, bool protects) const {
    TargetKernel::Pieces pieces = kernel.pieces();
    pieces.source_has = [takes_restored](const std::string&, const std::string&) { return takes_restored; };
    pieces.config = [protects](const std::string& symbol) {
      return symbol == "MODVERSIONS" || symbol == "MPROFILE_KERNEL" || (protects && symbol == "STRICT_MODULE_RWX");
    };
    return pieces;
  }
};

/// Its function calls "silent" of vmlinux by a klp reference.
Patch patch_of(const std::vector<uint32_t>& code = {kCall, kNop, kReturn, kReturn}) {
  Patch patch;
  patch.machine = ObjectFixture::kPpc64;
  patch.code = words(code);
  return patch;
}

Patch late_patch(const std::vector<uint32_t>& code = {kCall, kNop, kReturn, kReturn}) {
  Patch patch = patch_of(code);
  patch.object = patch.owner = "late";
  patch.old_function = "in_module";
  patch.reference = ".klp.sym.late.in_module,0";
  return patch;
}

LoadResult load(const Patch& patch, const Power& power = Power()) {
  Loader loader(power.target, patch.file(), {});
  return loader.load();
}

const LoadedSection& section_of(const std::vector<LoadedSection>& all, std::string_view name) {
  return *std::find_if(all.begin(), all.end(), [&](const LoadedSection& section) { return section.name == name; });
}

}  // namespace

TEST_CASE("ppc64: a call leaves the module by way of a stub, which gives r2 back", "[loader]") {
  const Power power;
  Patch patch = patch_of({kCall, kNop, kCall, kNop, kCall, kNop, kReturn});
  patch.references = {{8, R_PPC64_REL24, "exported", 0}, {16, R_PPC64_REL24, "exported", 0}};
  Loader loader(power.target, patch.file(), {});
  const LoadResult result = loader.load();
  INFO(result.reason);
  REQUIRE(result.outcome == Outcome::accepted);
  CHECK(result.faults.empty());
  const std::vector<LoadedSection> all = loader.sections();
  const LoadedSection &code = section_of(all, ".text.fixed"), &stubs = section_of(all, ".stubs"),
                      &toc = section_of(all, ".toc");
  CHECK(stubs.memory.size() == 3 * 40);  // two functions, and one that stays free
  std::vector<uint64_t> places;
  for (const uint64_t at : {0, 8, 16}) {
    CHECK(word(code, at + 4) == kRestore);
    places.push_back(code.address + at + (word(code, at) & 0x03fffffc) - stubs.address);
    if ((word(code, at) & 0x02000000) != 0) places.back() -= 0x04000000;
  }
  CHECK(places[1] == places[2]);
  CHECK(places[0] + places[1] == 40);  // the first and the second
  for (const auto& [place, offset] : {std::pair{places[0], 64}, std::pair{places[1], 80}}) {
    uint64_t function = 0;
    std::memcpy(&function, stubs.memory.data() + place + 32, 8);
    CHECK(function == power.kernel.vmlinux.sections()[0].address + static_cast<uint64_t>(offset));
    const auto upper = static_cast<int16_t>(word(stubs, place)), lower = static_cast<int16_t>(word(stubs, place + 4));
    CHECK(int64_t{upper} * 0x10000 + lower ==
          static_cast<int64_t>(stubs.address + place - ((toc.address & ~0xffULL) + 0x8000)));
    CHECK(word(stubs, place + 28) == 0x73747562);
  }
}

TEST_CASE("ppc64: .TOC. is made by the loader, at 0x8000 in .toc", "[loader]") {
  const Power power;
  Patch patch = patch_of({kCall, kNop, 0, 0, kLoad, kReturn});
  patch.references = {{8, R_PPC64_REL64, ".TOC.", 0}, {16, R_PPC64_TOC16_LO_DS, ".TOC.", 8}};
  Loader loader(power.target, patch.file(), {});
  const LoadResult result = loader.load();
  INFO(result.reason);
  REQUIRE(result.outcome == Outcome::accepted);
  const std::vector<LoadedSection> all = loader.sections();
  const LoadedSection &code = section_of(all, ".text.fixed"), &toc = section_of(all, ".toc");
  uint64_t distance = 0;
  std::memcpy(&distance, code.memory.data() + 8, 8);
  CHECK(code.address + 8 + distance == (toc.address & ~0xffULL) + 0x8000);
  CHECK(word(code, 16) == (kLoad | 8));
}

TEST_CASE("ppc64: the large model's entry is made shorter", "[loader]") {
  constexpr uint32_t kEntry = 118, kLoadR2 = 0xe84cfff8, kAdd = 0x7c426214;  // ld r2,-8(r12); add r2,r2,r12
  const Power power;
  for (const bool whole : {true, false}) {
    Patch patch = patch_of({kCall, kNop, kLoadR2, whole ? kAdd : kNop, kReturn});
    patch.references = {{8, kEntry, ".TOC.", 0}};
    Loader loader(power.target, patch.file(), {});
    REQUIRE(loader.load().outcome == Outcome::accepted);
    const std::vector<LoadedSection> all = loader.sections();
    const LoadedSection &code = section_of(all, ".text.fixed"), &toc = section_of(all, ".toc");
    if (!whole) {
      CHECK(word(code, 8) == kLoadR2);
      continue;
    }
    CHECK(word(code, 8) >> 16 == 0x3c4c);   // addis r2,r12
    CHECK(word(code, 12) >> 16 == 0x3842);  // addi r2,r2
    const auto upper = static_cast<int16_t>(word(code, 8)), lower = static_cast<int16_t>(word(code, 12));
    CHECK(static_cast<uint64_t>(int64_t{upper} * 0x10000 + lower) ==
          (toc.address & ~0xffULL) + 0x8000 - (code.address + 8));
  }
}

TEST_CASE("ppc64: what the loader refuses, with the kernel's words", "[loader]") {
  struct Case {
    const char* what;
    Patch patch;
    const char* message;
  };
  const auto with = [](uint32_t type, const char* symbol, int64_t addend, uint32_t at) {
    Patch patch = patch_of({kCall, kNop, kReturn, kNop, kReturn, kReturn});
    patch.references = {{at, type, symbol, addend}};
    return patch;
  };
  Patch no_stubs = patch_of();
  no_stubs.stubs = false;
  for (const Case& c :
       {Case{"no stubs", no_stubs, "fix: doesn't contain .stubs."},
        {"no NOP", patch_of({kCall, kReturn, kReturn}), "fix: Expected nop after call, got 4e800020 at <...>"},
        {"R_PPC64_NONE", with(R_PPC64_NONE, "exported", 0, 8), "fix: Unknown ADD relocation: 0"},
        {"a short branch", with(R_PPC64_REL14, "exported", 0, 8), "fix: Unknown ADD relocation: 11"},
        {"half an instruction", with(R_PPC64_REL24, "fixed", 2, 8), "fix: REL24 <...> out of range!"},
        {"the kernel is far", with(R_PPC64_REL32, "exported", 0, 8), "fix: REL32 <...> out of range!"},
        {"... from r2 too", with(R_PPC64_TOC16_DS, "exported", 0, 8), "fix: bad TOC16_DS relocation (<...>)"},
        {"no multiple of four", with(R_PPC64_TOC16_LO_DS, ".TOC.", 2, 8), "fix: bad TOC16_LO_DS relocation (<...>)"}}) {
    const LoadResult result = load(c.patch);
    INFO(c.what << ": " << result.reason);
    CHECK(result.outcome == Outcome::refused);
    CHECK(result.error == ENOEXEC);
    CHECK(result.messages == std::vector<std::string>{c.message});
  }
}

TEST_CASE("ppc64: what is taken and wrong all the same", "[loader]") {
  SECTION("a jump out of the module") {
    const LoadResult result = load(patch_of({kJump, kReturn, kReturn}));
    CHECK(result.outcome == Outcome::accepted);
    REQUIRE(result.faults.size() == 1);
    CHECK_THAT(result.faults.front(), Catch::Contains("overwrites its caller's r2"));
  }
  SECTION("the kernel's data at a distance from r2") {
    Patch patch = patch_of();
    patch.references = {{8, R_PPC64_TOC16_HA, "exported", 0}};
    const LoadResult result = load(patch);
    CHECK(result.outcome == Outcome::accepted);
    REQUIRE(result.faults.size() == 1);
    CHECK_THAT(result.faults.front(), Catch::Contains("the kernel does not look"));
  }
}

TEST_CASE("ppc64: a patched module comes, goes, and comes again", "[loader]") {
  struct Case {
    std::vector<uint32_t> code;
    bool restored_is_taken, clears, taken, comes_again;
  };
  for (const Case& c :
       {Case{{kCall, kNop}, false, false, true, false}, Case{{kCall, kNop}, true, false, true, true},
        Case{{kCall, kNop}, false, true, true, true}, Case{{kCall, kReturn}, true, false, false, false}}) {
    const Power power(c.restored_is_taken);
    Patch patch = late_patch(c.code);
    patch.clears = c.clears;
    Loader loader(power.target, patch.file(), {});
    const LoadResult loaded = loader.load();
    INFO(loaded.reason);
    REQUIRE(loaded.outcome == Outcome::accepted);
    CHECK((loader.module_arrives("late").outcome == Outcome::accepted) == c.taken);
    if (!c.taken) continue;
    loader.module_leaves("late");
    const LoadResult again = loader.module_arrives("late");
    CHECK((again.outcome == Outcome::accepted) == c.comes_again);
    if (!c.comes_again)
      CHECK(again.messages == std::vector<std::string>{"fix: Expected nop after call, got e8410018 at <...>"});
    if (!c.clears) continue;
    for (const ReplayedEvent& event : replay(power.target, patch.file())) {
      INFO(event.what + event.result.reason);
      CHECK(event.good());
    }
  }
}

TEST_CASE("ppc64: of late relocations only calls can be written in what is write-protected", "[loader]") {
  Patch patch = late_patch({0, 0, kReturn});
  patch.klp_type = R_PPC64_ADDR64;
  const LoadResult result = load(patch);
  CHECK(result.outcome == Outcome::accepted);
  REQUIRE(result.faults.size() == 1);
  CHECK_THAT(result.faults.front(), Catch::Contains("is stored when the memory is write-protected"));
  const Power power;
  Loader loader(power.target, patch.file(), {});
  loader.load();
  CHECK(loader.module_arrives("late").outcome == Outcome::unpredictable);
  CHECK(load(patch, Power(false, false)).faults.empty());
}

TEST_CASE("ppc64: a late call in code that the processor's features choose comes too late", "[loader]") {
  Patch patch = late_patch({kCall, kNop, kReturn, kReturn});
  patch.feature_table = true;
  const LoadResult result = load(patch);
  INFO(result.reason);
  CHECK(result.outcome == Outcome::accepted);
  REQUIRE(result.faults.size() == 1);
  CHECK_THAT(result.faults.front(), Catch::Contains("before they are relocated"));
}
