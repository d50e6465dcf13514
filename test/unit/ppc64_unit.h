// Units of ppc64le in memory, of the large code model, and what their tests ask of the outcome.
#pragma once

#include <catch2/catch.hpp>

#include "arch/arch.h"
#include "diff/engine.h"
#include "engine_unit.h"

namespace klp::test::ppc64 {

// Relocation types (64-bit ELF V2 ABI, 3.5.3).
inline constexpr uint32_t kAddr32 = 1, kRel24 = 10, kRel14 = 11, kRel32 = 26, kAddr64 = 38, kRel64 = 44, kToc16 = 47,
                          kToc16Lo = 48, kToc16Hi = 49, kToc16Ha = 50, kToc = 51, kToc16Ds = 63, kToc16LoDs = 64,
                          kTocSave = 109, kRel24NoToc = 116, kEntry = 118, kPcrel34 = 132, kRel16Lo = 250,
                          kRel16Ha = 252;
// Instructions.
inline constexpr uint32_t kLdR2 = 0xe84cfff8, kAddR2 = 0x7c426214, kMflr = 0x7c0802a6, kStdLr = 0xf8010010,
                          kBl = 0x48000001, kB = 0x48000000, kNop = 0x60000000, kBlr = 0x4e800020, kLi = 0x38600000,
                          kAddis = 0x3d220000, kLd = 0xe9290000, kAddi = 0x39290000;
inline constexpr uint8_t kLocalEntry8 = 3 << 5;

inline const arch::Arch& power() {
  return arch::arch_for(ObjectFixture::kPpc64);
}

/// A function of the large model in the making: the bytes in front of it, both entry points, the ftrace site.
class Function {
 public:
  Function(ObjectFixture& object, std::string_view name, bool traced = true) : piece_(object.function(name, {})) {
    piece_.symbol().value = 8;
    piece_.symbol().other = kLocalEntry8;
    piece_.bytes(std::vector<std::byte>(8)).refers(0, kRel64, ".TOC.", -8);
    piece_.refers(8, kEntry, "");
    word(kLdR2).word(kAddR2);
    if (traced) word(kMflr).word(kBl, kRel24, "_mcount");
  }

  Function& word(uint32_t value) {
    auto content = piece_.section().data;
    for (int shift = 0; shift < 32; shift += 8) content.push_back(static_cast<std::byte>(value >> shift));
    piece_.bytes(std::move(content));
    piece_.symbol().size = piece_.section().data.size() - 8;
    return *this;
  }
  Function& word(uint32_t value, uint32_t type, std::string_view target, int64_t addend = 0) {
    piece_.refers(piece_.section().data.size(), type, target, addend);
    return word(value);
  }
  Function& calls(std::string_view target) { return word(kBl, kRel24, target).word(kNop); }
  /// Loads the slot at this offset of .toc.
  Function& loads(int64_t slot) {
    const uint64_t at = piece_.section().data.size();
    piece_.refers_to_section(at, kToc16Ha, ".toc", slot).refers_to_section(at + 4, kToc16LoDs, ".toc", slot);
    return word(kAddis).word(kLd);
  }
  void end() { word(kBlr); }

  Piece& piece() { return piece_; }

 private:
  Piece& piece_;
};

inline Piece& toc(ObjectFixture& object, uint64_t slots) {
  return object.table(".toc", std::vector<std::byte>(8 * slots), elf::kShfAlloc | elf::kShfWrite);
}

struct Unit : EngineUnit {
  Unit() : EngineUnit("other.c", ObjectFixture::kPpc64, 2) {
    for (const char* name : {"_mcount", "printk"}) exports[name] = {1, "vmlinux", false, ""};
    sizes.structs = {{"jump_entry", 16}, {"exception_table_entry", 8}, {"bug_entry", 12}};
  }

  template <typename Make>
  void both(Make make) {
    for (ObjectFixture* f : {&original, &patched}) make(*f, f == &patched);
  }
};

inline std::vector<std::string> refusals(const diff::UnitResult& result) {
  std::vector<std::string> list;
  for (const Finding& f : result.findings.list()) {
    if (f.severity == Severity::refusal) list.push_back(f.code + ": " + f.message);
  }
  return list;
}

using Texts = std::vector<std::string>;

inline std::vector<std::string> changed(const diff::UnitResult& result) {
  std::vector<std::string> list;
  for (const diff::FunctionReport& f : result.functions) {
    if (f.change == "changed") list.push_back(f.name);
  }
  return list;
}

inline bool has_line(const diff::UnitResult& result, const std::string& line) {
  INFO(diff::dump(result.plan));
  return diff::dump(result.plan).find(line) != std::string::npos;
}

inline std::vector<std::byte> words(std::initializer_list<uint32_t> values) {
  std::vector<std::byte> result;
  for (const uint32_t value : values) {
    for (int shift = 0; shift < 32; shift += 8) result.push_back(static_cast<std::byte>(value >> shift));
  }
  return result;
}

}  // namespace klp::test::ppc64
