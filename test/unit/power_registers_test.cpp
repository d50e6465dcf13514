#include "elf/power_registers.h"

#include <catch2/catch.hpp>

#include <cstring>

using namespace klp;
using Fate = elf::Disassembler::AddressFate;
using Use = elf::Disassembler::RegisterUse;

namespace {

// What powerpc64le-linux-gnu-as makes of the text beside it.
constexpr uint32_t kAddisR9 = 0x3d220000;    // addis r9,r2,0
constexpr uint32_t kLdR9 = 0xe9290000;       // ld r9,0(r9)
constexpr uint32_t kStdR9R3 = 0xf9230008;    // std r9,8(r3)
constexpr uint32_t kStdR9R1 = 0xf9210020;    // std r9,32(r1)
constexpr uint32_t kStdR3R9 = 0xf8690000;    // std r3,0(r9)
constexpr uint32_t kMrR3R9 = 0x7d234b78;     // mr r3,r9
constexpr uint32_t kMrR31R9 = 0x7d3f4b78;    // mr r31,r9
constexpr uint32_t kStdR31R3 = 0xfbe30000;   // std r31,0(r3)
constexpr uint32_t kAddiR10R9 = 0x39490010;  // addi r10,r9,16
constexpr uint32_t kStdxR10 = 0x7d43292a;    // stdx r10,r3,r5
constexpr uint32_t kStdcxR9 = 0x7d2019ad;    // stdcx. r9,0,r3
constexpr uint32_t kLiR9 = 0x39200001;       // li r9,1
constexpr uint32_t kBeq = 0x41820008;        // beq .+8
constexpr uint32_t kBl = 0x48000001, kBctrl = 0x4e800421, kB = 0x48000010, kBlr = 0x4e800020, kNop = 0x60000000;

std::vector<std::byte> code_of(const std::vector<uint32_t>& words) {
  std::vector<std::byte> code(words.size() * 4);
  std::memcpy(code.data(), words.data(), code.size());
  return code;
}

Fate fate(const std::vector<uint32_t>& words) {
  return elf::power_fate_of_address(code_of(words), 0);
}

Use use(uint32_t word) {
  return elf::power_registers_of(code_of({word}), 0);
}

constexpr uint32_t r(unsigned n) {
  return 1U << n;
}

}  // namespace

TEST_CASE("POWER: what becomes of an address that is loaded from a slot", "[power-registers]") {
  using Kind = Fate::Kind;
  CHECK(fate({kAddisR9, kLdR9}).kind == Kind::not_taken);  // the slot's address
  CHECK(fate({kLdR9, kStdR9R3, kBlr}).kind == Kind::stored);
  CHECK(fate({kLdR9, kStdR9R3}).at == 4);
  CHECK(fate({kLdR9, kStdR3R9, kBlr}).kind == Kind::unknown);  // stored to, not stored
  CHECK(fate({kLdR9, kStdR9R1, kLiR9, kBlr}).kind == Kind::on_stack);
  CHECK(fate({kLdR9, kMrR3R9, kBl, kNop}).kind == Kind::passed);
  CHECK(fate({kLdR9, kMrR3R9, kBctrl, kNop}).kind == Kind::passed);
  CHECK(fate({kLdR9, kBl, kNop, kStdR9R3}).kind == Kind::passed);  // r9 may hold the seventh argument; no call keeps it
  CHECK(fate({kLdR9, kMrR31R9, kBl, kNop, kStdR31R3}).kind == Kind::stored);
  CHECK(fate({kLdR9, kAddiR10R9, kLiR9, kStdxR10}).kind == Kind::stored);
  CHECK(fate({kLdR9, kStdcxR9}).kind == Kind::stored);
  CHECK(fate({kLdR9, kLiR9, kStdR9R3}).kind == Kind::unknown);  // another value
  CHECK(fate({kLdR9, kBeq, kStdR9R3}).kind == Kind::stored);
  CHECK(fate({kLdR9, kB, kStdR9R3}).kind == Kind::unknown);
}

TEST_CASE("POWER: registers of the instructions that compilers handle addresses with", "[power-registers]") {
  CHECK(use(kLdR9).address == r(9));
  CHECK(use(kLdR9).result == r(9));
  CHECK(use(0xe9200000).address == 0);               // ld r9,0(0)
  CHECK(use(0x7d2a482a).address == (r(10) | r(9)));  // ldx r9,r10,r9
  CHECK((use(kStdR9R3).store && use(kStdR9R3).value == r(9) && use(kStdR9R3).address == r(3)));
  CHECK((use(kMrR3R9).value == r(9) && use(kMrR3R9).result == r(3) && use(kMrR3R9).lost == r(3)));
  CHECK(use(kLiR9).value == 0);
  CHECK((use(0x7d295214).value == (r(9) | r(10)) && use(0x7d295214).result == r(9)));  // add r9,r9,r10
  CHECK((use(0x7d295215).result == 0 && use(0x7d295215).implied == (r(9) | r(10))));   // add. compares
  CHECK((use(0x2c290000).value == r(9) && !use(0x2c290000).constant));                 // cmpdi r9,0
  CHECK(use(0x2c290001).constant);                                                     // cmpdi r9,1
  CHECK(use(0x7c294840).value == r(9));                                                // cmpld r9,r9
  CHECK((use(0x792a0020).implied == r(9) && use(0x792a0020).lost == r(10)));           // clrldi r10,r9,32
  CHECK((use(0x7d2903a6).known && use(0x7d2903a6).implied == r(9)));                   // mtctr r9
  CHECK((use(kBlr).ends && use(0x4e800420).jumps && use(kBctrl).call));
  CHECK_FALSE(use(0x4d820020).known);  // beqlr: may return
  CHECK_FALSE(use(0x04000000).known);  // a prefix
  CHECK_FALSE(use(0xbfc10000).known);  // stmw r30,0(r1)
  CHECK((use(0x7d49596a).implied & (r(9) | r(10) | r(11))) ==
        (r(9) | r(10) | r(11)));                                              // stdux r10,r9,r11, and the like
  CHECK((use(kNop).known && use(0x7c0004ac).known && use(0x7fe00008).ends));  // sync, trap
}
