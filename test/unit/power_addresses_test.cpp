#include "elf/power_addresses.h"

#include <elf.h>
#include <catch2/catch.hpp>

#include <cstring>

#include "elf/disassembler.h"

using namespace klp;

namespace {

// What powerpc64le-linux-gnu-as makes of the text beside it.
constexpr uint32_t kAddisR9 = 0x3d220001;   // addis r9,r2,1
constexpr uint32_t kAddisR31 = 0x3fe20001;  // addis r31,r2,1
constexpr uint32_t kLowR9 = 0x3869ff00;     // addi r3,r9,-256
constexpr uint32_t kLowR31 = 0x387fff00;    // addi r3,r31,-256
constexpr uint32_t kLoadR9 = 0xe8690022;    // lwa r3,32(r9)
constexpr uint32_t kLiR9 = 0x39200000;      // li r9,0
constexpr uint32_t kMrR30R9 = 0x7d3e4b78;   // mr r30,r9
constexpr uint32_t kLowR30 = 0x387eff00;    // addi r3,r30,-256
constexpr uint32_t kNear = 0x38620010;      // addi r3,r2,16
constexpr uint32_t kBeq12 = 0x4182000c;     // beq .+12
constexpr uint32_t kBack8 = 0x4bfffff8;     // b .-8
constexpr uint32_t kBl = 0x48000001, kBctr = 0x4e800420, kBlr = 0x4e800020;

constexpr uint64_t kBase = 0x800000, kUpper = kBase + 0x10000, kAddress = kUpper - 256;

std::vector<std::byte> code_of(const std::vector<uint32_t>& words) {
  std::vector<std::byte> code(words.size() * 4);
  std::memcpy(code.data(), words.data(), code.size());
  return code;
}

/// Offset and address of each.
std::vector<std::pair<uint64_t, uint64_t>> addresses(const std::vector<uint32_t>& words) {
  std::vector<std::pair<uint64_t, uint64_t>> result;
  for (const elf::PowerAddress& a : elf::power_addresses(code_of(words), kBase))
    result.emplace_back(a.offset, a.address);
  return result;
}

using List = std::vector<std::pair<uint64_t, uint64_t>>;

}  // namespace

TEST_CASE("POWER: addresses of linked code are put together over all ways through it", "[power-addresses]") {
  CHECK(addresses({kAddisR9, kLowR9, kBlr}) == List{{4, kAddress}});
  CHECK(addresses({kAddisR9, kLoadR9, kBlr}) == List{{4, kUpper + 32}});  // two bits of it are no distance
  CHECK(addresses({kNear, kBlr}) == List{{0, kBase + 16}});
  CHECK(addresses({kAddisR9, kLiR9, kLowR9, kBlr}).empty());  // overwritten
  CHECK(addresses({kAddisR9, kBlr, kLowR9, kBlr}).empty());   // another function, or never reached
  // Overwritten on one way only, which in the order of the code comes first.
  CHECK(addresses({kAddisR9, kBeq12, kLiR9, kBlr, kLowR9, kBlr}) == List{{16, kAddress}});
  CHECK(addresses({kLowR9, kAddisR9, kBack8, kBlr}) == List{{0, kAddress}});  // a loop
}

TEST_CASE("POWER: the upper half of an address in other registers", "[power-addresses]") {
  CHECK(addresses({kAddisR9, kBl, kLowR9, kBlr}).empty());  // a call keeps the upper registers only
  CHECK(addresses({kAddisR31, kBl, kLowR31, kBlr}) == List{{8, kAddress}});
  CHECK(addresses({kAddisR9, kMrR30R9, kLiR9, kLowR30, kBlr}) == List{{12, kAddress}});
  CHECK(addresses({kAddisR9, kBctr, kLiR9, kLowR9, kBlr}) == List{{12, kAddress}});  // a switch may lead there
}

TEST_CASE("POWER: the targets of branches are what linked code mentions", "[power-addresses]") {
  const elf::Disassembler disassembler(EM_PPC64);
  const auto found = disassembler.mentions(code_of({kBlr, 0x48000011, kBeq12, kLiR9}), 0x1000, 0x1000, 0x1020);
  REQUIRE(found.size() == 2);
  CHECK(found[0].at == 0x1004);
  CHECK(found[0].address == 0x1014);
  CHECK(found[1].at == 0x1008);
  CHECK(found[1].address == 0x1014);
  CHECK(found[0].branch);
  CHECK(found[1].branch);
  CHECK(disassembler.mentions(code_of({0x48000011}), 0x1000, 0x1000, 0x1010).empty());  // behind what is asked for
}
