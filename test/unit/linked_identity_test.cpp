// Identity where the shipped binary is of another code model: ppc64le's vmlinux, linked by GNU ld, against the same and
// against other sources.
#include <catch2/catch.hpp>

#include <algorithm>
#include <map>

#include "arch/linked_code.h"
#include "diff/identity.h"
#include "diff/same_callees.h"
#include "support/files.h"
#include "support/run.h"

namespace klp::diff {
namespace {

const std::string kMedium = "-mcmodel=medium", kLarge = "-mcmodel=large -fno-optimize-sibling-calls";

/// Variables near the base of the distances and far from it, a string, a table of pointers, a call inside and outside.
const std::string kSource = R"(
#define noinline __attribute__((noinline))
extern int outside(const char *, long);
extern int other(int);
static int near_one, near_two;
int far[100000];
extern int elsewhere[];
static noinline int helper(int x) { asm volatile("" : "+r"(x)); return x + near_one; }
static int (*const table[])(int) = {helper};
int use_near(int x) { near_two += x; return helper(x) + near_one; }
int use_far(int i) { return far[i] + elsewhere[i]; }
int use_table(int i) { return table[i](i); }
int say(int i) { outside("said", i * 0x123456789abL); return far[7]; }
long big(void) { return 0x123456789abcdef0; }
)";
const std::string kRest =
    "int elsewhere[70000]; int outside(const char *s, long n) { return *s + n; }\nint other(int x) { return x; }\n";

class Fixture {
 public:
  fs::path compile(const std::string& name, const std::string& source, const std::string& options) const {
    write_file_atomically(path_.path() / (name + ".c"), source);
    const fs::path object = path_.path() / (name + ".o");
    run_checked({"sh", "-c",
                 "powerpc64le-linux-gnu-gcc-12 -O2 -mcpu=power8 -ffreestanding -c -o \"$0\" \"$1\" " + options,
                 object.string(), (path_.path() / (name + ".c")).string()});
    return object;
  }

  /// A kernel in small; `unit`'s file name is what its locals are known by.
  fs::path link(const fs::path& unit) const {
    const fs::path image = path_.path() / "vmlinux";
    run_checked({"powerpc64le-linux-gnu-ld", "-pie", "-z", "notext", "--no-dynamic-linker", "-e", "say", "-o",
                 image.string(), unit.string(), compile("rest", kRest, kMedium).string()});
    return image;
  }

 private:
  TempDir path_{fs::temp_directory_path(), "linked-identity"};
};

/// The functions that are not matched, with their differences.
std::map<std::string, std::string> unmatched(const Identity& identity) {
  std::map<std::string, std::string> result;
  for (const FunctionIdentity& f : identity.functions()) {
    if (f.state != IdentityState::matched) result[std::string(f.piece->name())] = f.difference;
  }
  return result;
}

struct Objects {
  Objects(const fs::path& image_file, const fs::path& unit_file)
      : image(elf::ElfObject::read(image_file)),
        unit(elf::ElfObject::read(unit_file)),
        disassembler(unit.machine()),
        shipped(image),
        pieces(unit, disassembler),
        identity(pieces, shipped) {}
  elf::ElfObject image, unit;
  elf::Disassembler disassembler;
  elf::SymbolIndex shipped;
  Pieces pieces;
  Identity identity;
};

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  REQUIRE(at != text.npos);
  return text.replace(at, from.size(), to);
}

TEST_CASE("code of the medium model equals what the linker made of it", "[identity][ppc64]") {
  const Fixture fixture;
  const fs::path unit = fixture.compile("unit", kSource, kMedium);
  const Objects objects(fixture.link(unit), unit);
  CHECK(unmatched(objects.identity) == std::map<std::string, std::string>{});
  CHECK(objects.identity.count(IdentityState::matched) == 6);
}

TEST_CASE("another source is found, function by function", "[identity][ppc64]") {
  const Fixture fixture;
  const fs::path image = fixture.link(fixture.compile("unit", kSource, kMedium));
  const std::tuple<const char*, const char*, const char*> changes[] = {
      {"far[i] + elsewhere[i]", "elsewhere[i] + far[i + 1]", "use_far"},  // a lower half with an addend
      {"return far[7]", "return elsewhere[7]", "say"},                    // another variable, the same code
      {"\"said\"", "\"sand\"", "say"},
      {"{helper}", "{other}", "use_table"},
      {"0x123456789abcdef0", "0x123456789abcdef1", "big"},  // a constant in a table
      {"near_two += x", "near_one += x", "use_near"}};
  for (const auto& [from, to, function] : changes) {
    INFO(from);
    const Objects objects(image, fixture.compile("unit", replaced(kSource, from, to), kMedium));
    const auto different = unmatched(objects.identity);
    CHECK(different.count(function) == 1);
    CHECK(different.size() < 6);
  }
}

TEST_CASE("code for a module is held against the same source compiled as shipped", "[identity][ppc64]") {
  const Fixture fixture;
  const fs::path shipped_unit = fixture.compile("unit", kSource, kMedium);
  const fs::path image = fixture.link(shipped_unit);
  const Objects as_shipped(image, shipped_unit);
  SECTION("the same decisions") {
    const auto unit = elf::ElfObject::read(fixture.compile("unit", kSource, kLarge));
    const Pieces pieces(unit, as_shipped.disassembler);
    CHECK(unmatched(Identity(pieces, as_shipped.shipped)).size() >= 4);  // those that refer to data
    const Identity identity(pieces, as_shipped.shipped, &as_shipped.identity);
    CHECK(unmatched(identity) == std::map<std::string, std::string>{});
    CHECK(identity.count(IdentityState::matched) == 6);
    CHECK(identity.shipped_symbol(*pieces.named("say").front()) != nullptr);
  }
  SECTION("a function inlined in one of them") {
    const auto unit =
        elf::ElfObject::read(fixture.compile("unit", replaced(kSource, "static noinline", "static inline"), kLarge));
    const Pieces pieces(unit, as_shipped.disassembler);
    const auto different = unmatched(Identity(pieces, as_shipped.shipped, &as_shipped.identity));
    REQUIRE(different.count("use_near") == 1);
    CHECK_THAT(different.at("use_near"), Catch::Contains("the shipped one refers to helper"));
  }
  SECTION("a function that only one of them has") {
    const auto unit =
        elf::ElfObject::read(fixture.compile("unit", replaced(kSource, "long big(void)", "long large(void)"), kLarge));
    const Pieces pieces(unit, as_shipped.disassembler);
    const auto different = unmatched(Identity(pieces, as_shipped.shipped, &as_shipped.identity));
    CHECK_THAT(different.at("large"), Catch::Contains("for a module only"));
    CHECK_THAT(different.at("big"), Catch::Contains("for the shipped binary only"));
  }
}

TEST_CASE("the linker's shorter forms are known, and nothing else", "[ppc64]") {
  const arch::LinkedCode& code = *arch::linked_code_for(21);
  CHECK(arch::linked_code_for(62) == nullptr);
  const auto word = [](uint32_t value) {
    std::vector<std::byte> bytes(4);
    for (int i = 0; i < 4; ++i) bytes[static_cast<size_t>(i)] = static_cast<std::byte>(value >> (8 * i));
    return bytes;
  };
  constexpr uint32_t kUpper = 50, kLower = 48, kLowerWords = 64;
  constexpr uint32_t kAddisR9R2 = 0x3d220000, kLdR9R9 = 0xe9290000, kAddiR9R9 = 0x39290000, kLwaR9R9 = 0xe9290002;
  const auto upper = code.half(kUpper, word(kAddisR9R2), word(kAddisR9R2 | 0xffff));
  REQUIRE(upper);
  CHECK(upper->value == -0x10000);
  CHECK(upper->to == 9);
  CHECK_FALSE(code.half(kUpper, word(kAddisR9R2), word(kAddiR9R9)));
  CHECK_FALSE(code.half(kUpper, word(kAddisR9R2), word(kAddisR9R2 + (1 << 21))));
  const auto loaded = code.half(kLowerWords, word(kLdR9R9), word(kLdR9R9 | 0x18));
  REQUIRE(loaded);
  CHECK(loaded->loads_slot);
  CHECK(loaded->value == 0x18);
  const auto direct = code.half(kLowerWords, word(kLdR9R9), word(kAddiR9R9 | 0x1234));
  REQUIRE(direct);
  CHECK_FALSE(direct->loads_slot);
  CHECK_FALSE(code.half(kLowerWords, word(kLwaR9R9), word(kAddiR9R9)));
  CHECK_FALSE(code.half(kLowerWords, word(kLwaR9R9), word(kLdR9R9)));
  CHECK_FALSE(code.half(kLower, word(kAddiR9R9), word(kLdR9R9)));
}

}  // namespace
}  // namespace klp::diff
