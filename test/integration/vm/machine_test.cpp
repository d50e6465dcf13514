// What the kernel makes of the calls and returns in patched code depends on the processor and on the mitigations that
// it has chosen: thunks for indirect calls, others for returns, the counting of calls. The cases tagged [machine] run
// once more on other processors (vm_suite.h).
#include <catch2/catch.hpp>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include <fmt/ranges.h>

#include "diff/pieces.h"
#include "guest_view.h"
#include "module_objtool.h"
#include "vm_suite.h"

using namespace klp;
using namespace klp::test;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

/// What a kind of sites has become, in words: each different answer once.
struct Sites {
  std::set<std::string> returns, indirect, direct;
};

class SiteReader {
 public:
  SiteReader(const Livepatch& livepatch, vm::Vm& vm) : livepatch_(livepatch), guest_(vm) {
    for (const elf::Symbol& symbol : Suite::get().vmlinux().object().symbols()) {
      if (symbol.is_defined() && symbol.section->is_exec() && !symbol.is_local()) names_[symbol.value] = symbol.name;
    }
  }

  void read(const std::string& function, Sites& result) {
    for (const ReadBackUnit& unit : livepatch_.units) {
      if (unit.functions.contains(function)) read(*unit.patched, function, result);
    }
  }

 private:
  void read(const elf::ElfObject& patched, const std::string& function, Sites& result) {
    const elf::Disassembler disassembler(patched.machine());
    const diff::Pieces pieces(patched, disassembler);
    const diff::Piece& piece = *pieces.named(function).at(0);
    const uint64_t address = guest_.module_symbols(livepatch_.name).at(function).front();
    const std::vector<std::byte> memory = guest_.memory(address, piece.size);
    for (const elf::Relocation& relocation : pieces.relocations(piece)) {
      const diff::Reference reference = pieces.resolve(relocation);
      if (!reference.branch || reference.symbol == nullptr || reference.symbol->name == "__fentry__") continue;
      const uint64_t site = relocation.offset - piece.offset - 1;  // of the call or jump: one byte, then the field
      const std::string now = in_words(std::span(memory).subspan(site), address + site);
      const std::string_view name = reference.symbol->name;
      if (name.starts_with("__x86_return_thunk")) {
        const bool upper = ((address + site) & 0x20) != 0;
        result.returns.insert(now + (upper ? " in the upper half" : " in the lower half"));
      } else if (name.starts_with("__x86_indirect_thunk_")) {
        result.indirect.insert(now);
      } else if (!name.starts_with("__SCT__")) {
        result.direct.insert(now);
      }
    }
  }

  std::string in_words(std::span<const std::byte> code, uint64_t address) {
    const std::byte opcode = code[0];
    if (opcode == std::byte{0xc3}) return "ret";
    if ((opcode != std::byte{0xe8} && opcode != std::byte{0xe9}) || code.size() < 5)
      return fmt::format("{:02x}", static_cast<unsigned>(opcode));
    int32_t distance = 0;
    std::memcpy(&distance, code.data() + 1, sizeof distance);
    const uint64_t target = address + 5 + static_cast<uint64_t>(static_cast<int64_t>(distance));
    std::string text = opcode == std::byte{0xe8} ? "call " : "jmp ";
    std::string name = name_at(target);
    // In front of a function; such a thunk itself counts.
    if (!name.starts_with("__x86_indirect_") && counts_call(guest_.memory(target, kCallCountSize))) {
      text += "counting ";
      name = name_at(target + kCallCountSize);
    }
    return text + name;
  }

  /// The last symbol at or before an address: the thunks of the registers lie in arrays.
  std::string name_at(uint64_t address) const {
    const auto found = names_.upper_bound(address);
    return found == names_.begin() ? "?" : std::prev(found)->second;
  }

  const Livepatch& livepatch_;
  GuestView guest_;
  std::map<uint64_t, std::string> names_;
};

bool all_start_with(const std::set<std::string>& texts, const std::string& start) {
  return std::all_of(texts.begin(), texts.end(), [&](const std::string& text) { return text.starts_with(start); });
}

std::string text_of(const Sites& sites) {
  return fmt::format("returns: {}\nindirect: {}\ndirect: {}\n", fmt::join(sites.returns, ", "),
                     fmt::join(sites.indirect, ", "), fmt::join(sites.direct, ", "));
}

}  // namespace

TEST_CASE("calls and returns in patched code are those of the processor's mitigations", "[vm][machine][x86]") {
  const Livepatch& livepatch = Suite::get().livepatch("run-time-constants");
  const std::string vulnerabilities = "cd /sys/devices/system/cpu/vulnerabilities; ";
  vm::LivepatchCheck check = commands({vulnerabilities + "cat retbleed", vulnerabilities + "cat spectre_v2",
                                       vulnerabilities + "cat indirect_target_selection", "cat /proc/cmdline"});
  Sites sites;
  check.while_patched = [&](vm::Vm& vm) {
    SiteReader reader(livepatch, vm);
    for (const char* function : {"vfs_read", "__d_lookup"}) reader.read(function, sites);
  };
  const auto result = run_livepatch(livepatch, check);
  const std::string retbleed = result.outputs.at(0).patched, spectre = result.outputs.at(1).patched;
  const bool tracks = Suite::get().vmlinux().maybe_global("skl_call_thunk_template") != nullptr;
  const bool stuffing = tracks && result.outputs.at(3).patched.find("retbleed=stuff") != std::string::npos;
  const bool aligned = result.outputs.at(2).patched.find("Aligned branch/return thunks") != std::string::npos;
  INFO(retbleed << spectre << result.outputs.at(2).patched << text_of(sites));
  // Every processor that QEMU emulates without the newer controls has retpolines.
  CHECK_THAT(spectre, Contains("Retpolines"));
  CHECK((retbleed.find("Stuffing") != std::string::npos) == stuffing);
  CHECK_FALSE(sites.returns.empty());
  CHECK_FALSE(sites.indirect.empty());
  CHECK_FALSE(sites.direct.empty());
  CHECK(all_start_with(sites.indirect, stuffing ? "call __x86_indirect_call_thunk_" : "call __x86_indirect_thunk_"));
  for (const std::string& call : sites.direct) CHECK(call.starts_with("call counting ") == stuffing);
  for (const std::string& now : sites.returns) {
    // With indirect target selection the lower half of a cache line is unsafe (cpu_wants_rethunk_at, 6.12.29 and
    // later).
    const bool unsafe = aligned && now.ends_with(" in the lower half");
    CHECK_THAT(now, StartsWith(stuffing ? "jmp call_depth_return_thunk " : unsafe ? "jmp its_return_thunk " : "ret "));
  }
}

TEST_CASE("objtool sees a fault in a finished module", "[vm][objtool][x86]") {
  const Livepatch& livepatch = Suite::get().livepatch("run-time-constants");  // which is without fault
  if (livepatch.objtool_flags.empty()) return;                                // not at the link on this kernel
  CHECK_THAT(livepatch.objtool_flags, Contains("--ibt") && Contains("--link") && Contains("--module"));
  // Calls whose relocations it does not see.
  CHECK_THAT(objtool_complaints(Suite::get().kernel(), livepatch.objtool_flags, livepatch.file, false),
             Contains("intra-function call"));
}
