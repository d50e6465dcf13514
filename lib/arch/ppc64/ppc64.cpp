// ppc64le: relocations, the table of contents, entry points, the ftrace site and the kernel's tables.
//
// Code of the large model loads every address from a slot of .toc, at a 32-bit distance from r2. A function has two
// entry points: the global one, at its symbol, sets r2 from r12 with the help of eight bytes in front of it; calls
// inside a module go to the local one behind that, whose distance is in st_other. (64-bit ELF V2 ABI, 2.3.2 and 3.5.)
#include "arch/ppc64/ppc64.h"

#include <elf.h>

#include <algorithm>

#include "arch/ppc64/abi.h"
#include "elf/relocation_name.h"
#include "support/bytes.h"
#include "support/error.h"

namespace klp::arch {
namespace {

constexpr uint64_t kWord = 4;
constexpr uint32_t kNop = 0x60000000;

/// Bytes of an entry of the tables of feature fixups, whose pointers are distances from the entry's start
/// (arch/powerpc/include/asm/feature-fixups.h: MAKE_FTR_SECTION_ENTRY, 4.x-6.12).
constexpr uint32_t kFeatureEntry = 48;

bool is_feature_table(std::string_view section) {
  return section == "__ftr_fixup" || section == "__mmu_ftr_fixup" || section == "__fw_ftr_fixup";
}

// Layouts: arch/powerpc/include/asm/{feature-fixups,extable,bug,jump_label}.h, Linux 5.10-6.12; the absolute addresses
// of __ex_table are those of 3.10, those of __bug_table and __jump_table of up to 5.10 and 5.13. The loader looks for
// the sites of speculation barriers under the name that vmlinux' linker script gives them
// (arch/powerpc/kernel/module.c: module_finalize).
std::vector<TableSpec> make_tables() {
  std::vector<TableSpec> tables;
  for (const std::string_view section : {"__ftr_fixup", "__mmu_ftr_fixup", "__fw_ftr_fixup"}) {
    tables.push_back({.section = section,
                      .layouts = {{.size = kFeatureEntry,
                                   .fields = {16, 24, 32, 40},
                                   .replacement = std::pair{32U, 40U},
                                   .site_length = 24,
                                   .lengths_are_ends = true}},
                      .compared = true});
  }
  tables.push_back({.section = "__lwsync_fixup", .layouts = {{.size = 8, .fields = {0}}}, .compared = true});
  for (const std::string_view section : {"__barrier_nospec_fixup", "__spec_barrier_fixup"}) {
    tables.push_back({.section = section,
                      .loader_name = "__spec_barrier_fixup",
                      .layouts = {{.size = 8, .fields = {0}}},
                      .compared = true});
  }
  tables.push_back({.section = "__jump_table",
                    .entry_struct = "jump_entry",
                    .layouts = {{.size = 16, .fields = {0, 4, 8}, .void_when_equal = true},
                                {.size = 24, .fields = {0, 8, 16}, .void_when_equal = true}},
                    .compared = true,
                    .switches_branch = true});
  tables.push_back(
      {.section = "__ex_table",
       .entry_struct = "exception_table_entry",
       .layouts = {{.size = 8, .fields = {0, 4}, .outlined = 4}, {.size = 16, .fields = {0, 8}, .outlined = 8}},
       .compared = true});
  tables.push_back({.section = "__bug_table",
                    .entry_struct = "bug_entry",
                    .layouts = {{.size = 12, .fields = {0}, .sometimes = {4}, .ignored = {{8, 2}}},
                                {.size = 24, .fields = {0}, .sometimes = {8}, .ignored = {{16, 2}}}},
                    .compared = true});
  for (const std::string_view sites : {"__mcount_loc", "__patchable_function_entries"})
    tables.push_back({.section = sites, .layouts = {{.size = 8, .fields = {0}}}});
  return tables;
}

class Ppc64 : public Arch {
 public:
  std::string_view name() const override { return "ppc64le"; }

  FieldKind field_kind(const elf::Relocation& relocation) const override {
    constexpr uint64_t kHalf = 0xffff, kWithoutLowBits = 0xfffc;
    switch (relocation.type) {
      case R_PPC64_NONE:
      case R_PPC64_TOCSAVE:  // says that r2 need not be saved
      case kEntry:           // says that two instructions may be replaced by shorter ones
        return {0, false, true};
      case R_PPC64_ADDR64:
      case R_PPC64_TOC:
        return {8, false, true};
      case R_PPC64_REL64:
        return {8, true, true};
      case R_PPC64_ADDR32:
        return {4, false, false};
      case R_PPC64_REL32:
        return {4, true, true};
      case R_PPC64_REL24:
        return {4, true, true, 0x03fffffc};
      case R_PPC64_REL14:
      case R_PPC64_REL14_BRTAKEN:
      case R_PPC64_REL14_BRNTAKEN:
        return {4, true, true, kWithoutLowBits};
      case R_PPC64_REL16_LO:
      case R_PPC64_REL16_HA:
        return {2, true, true, kHalf};
      case R_PPC64_TOC16_DS:
      case R_PPC64_TOC16_LO_DS:
        return {2, false, true, kWithoutLowBits};
      default:
        break;
    }
    if (ppc64_abi::is_toc_offset(relocation.type)) return {2, false, true, kHalf};
    const std::string type = elf::relocation_name(EM_PPC64, relocation.type);
    throw Error(fmt::format("{}+{:#x}: relocation {} is not used by kernel code", relocation.section->name,
                            relocation.offset, type),
                type.find("PCREL") != std::string::npos || type.find("NOTOC") != std::string::npos
                    ? "compile for a processor without PC-relative instructions (-mno-pcrel, or -mcpu=power8)"
                    : "compile with the kernel's own flags (-mcmodel=large, no -fpic, no TLS)");
  }

  int64_t bias(const elf::Relocation& relocation, uint64_t) const override {
    const bool from_entry = is_feature_table(relocation.section->name);
    return from_entry ? -static_cast<int64_t>(relocation.offset % kFeatureEntry) : 0;
  }

  int64_t target_offset(const elf::Relocation& relocation, int64_t bias) const override {
    return relocation.addend + bias;
  }

  int64_t addend_for(uint32_t, int64_t offset, int64_t bias) const override { return offset - bias; }

  // arch/powerpc/kernel/module_64.c: apply_relocate_add, 5.10-6.12.
  bool loader_accepts(uint32_t type) const override {
    switch (type) {
      case R_PPC64_ADDR32:
      case R_PPC64_ADDR64:
      case R_PPC64_TOC:
      case R_PPC64_REL24:
      case R_PPC64_REL32:
      case R_PPC64_REL64:
      case R_PPC64_REL16_LO:
      case R_PPC64_REL16_HA:
        return true;
      default:
        return ppc64_abi::is_toc_offset(type);
    }
  }

  // Calls go by way of a stub. Modules lie in the vmalloc area, far from the kernel
  // (arch/powerpc/include/asm/book3s/64/).
  bool reaches_out(uint32_t type) const override {
    return type == R_PPC64_REL24 || type == R_PPC64_ADDR64 || type == R_PPC64_REL64;
  }

  // apply_relocate_add() writes calls by patch_instruction() and everything else by plain stores.
  bool loader_accepts_late(uint32_t type, uint64_t section_flags) const override {
    if (type == R_PPC64_REL24) return true;
    return type == R_PPC64_ADDR64 && (section_flags & SHF_WRITE) != 0;
  }

  // The same file: find_dot_toc.
  bool is_made_by_loader(std::string_view symbol) const override { return symbol == ".TOC."; }

  uint64_t slot_size(const elf::Section& section) const override { return section.name == ".toc" ? 8 : 0; }

  // `addis rX,r2,slot@toc@ha; ld rX,slot@toc@l(rX)`, or `ld rX,slot@toc(r2)`. What adds instead of loading means the
  // slot itself.
  bool loads_slot(uint32_t type) const override {
    return type == R_PPC64_TOC16_HA || type == R_PPC64_TOC16_LO_DS || type == R_PPC64_TOC16_DS;
  }

  // gcc puts the initial value of a local structure there when it holds addresses (rs6000:
  // default_elf_select_rtx_section with relocations); variables have names.
  bool unnamed_is_constant(std::string_view section) const override { return section == ".data"; }

  // `.quad .TOC.-function` of the large model.
  uint64_t prefix_size(const elf::Symbol& function) const override {
    constexpr uint64_t kSize = 8;
    if (!function.is_function() || !function.is_defined() || function.value < kSize) return 0;
    const auto& all = function.section->relocations;
    const auto at = std::lower_bound(all.begin(), all.end(), function.value - kSize,
                                     [](const elf::Relocation& r, uint64_t offset) { return r.offset < offset; });
    const bool found = at != all.end() && at->offset == function.value - kSize && at->type == R_PPC64_REL64 &&
                       is_made_by_loader(at->symbol->name);
    return found ? kSize : 0;
  }

  bool runs_before_patching_only(std::string_view) const override { return false; }

  // arch/powerpc/include/asm/feature-fixups.h: FTR_SECTION_ELSE_NESTED.
  bool is_replacement_code(std::string_view section) const override { return section.starts_with("__ftr_alt_"); }

  uint32_t absolute_type() const override { return R_PPC64_ADDR64; }
  uint32_t relative_type() const override { return R_PPC64_REL32; }

  std::optional<BranchField> branch_field(const elf::Instruction& branch) const override {
    if (branch.flow != elf::Flow::call && branch.flow != elf::Flow::jump) return std::nullopt;
    return BranchField{0, R_PPC64_REL24, 0};
  }

  // A call that leaves the module goes through a stub, and the function that is called does as it likes with r2; the
  // loader puts the instruction that restores it in the place of a NOP behind the call. A jump cannot be followed by
  // one. (module_64.c: restore_r2, which lets ftrace's own call be.)
  Leaving leaving(std::span<const std::byte> code, uint64_t branch, std::string_view callee) const override {
    if (callee == kFtraceCall) return Leaving::fine;
    const auto link = [&](uint32_t word) { return (word & 1) != 0; };
    if (branch + kWord > code.size() || !link(read_le<uint32_t>(code, branch))) return Leaving::tail_call;
    const bool has_nop = branch + 2 * kWord <= code.size() && read_le<uint32_t>(code, branch + kWord) == kNop;
    return has_nop ? Leaving::fine : Leaving::lacks_nop;
  }

  bool has_ftrace_site(const FunctionCode& function) const override {
    const uint64_t entry = ppc64_abi::local_entry(function.symbol);
    return has_profiling_call(function, entry) || has_patchable_entry(function, entry);
  }

  std::optional<DormantCall> dormant_ftrace_call(std::span<const std::byte>, const elf::Relocation&,
                                                 uint64_t) const override {
    return std::nullopt;
  }

  // arch/powerpc/include/asm/jump_label.h.
  bool begins_with_nop(std::span<const std::byte> code) const override {
    return code.size() >= kWord && read_le<uint32_t>(code, 0) == kNop;
  }

  // The asm of jump_label.h has the NOP.
  std::span<const std::byte> branch_placeholder(std::span<const std::byte>, int64_t) const override { return {}; }

  // A branch of four bytes leaves neither a free register nor a free condition field for a test.
  std::vector<std::byte> jump_away(uint64_t) const override { return {}; }

  std::optional<KeyTestCode> key_test(std::span<const std::byte>, bool) const override { return std::nullopt; }

  IndirectEntry indirect_entry() const override { return {}; }

  // r13 holds the area's address as any other register would.
  bool uses_per_cpu_area(std::span<const std::byte>) const override { return false; }

  const std::vector<TableSpec>& tables() const override {
    static const std::vector<TableSpec> tables = make_tables();
    return tables;
  }

 private:
  static constexpr uint32_t kEntry = 118;  // R_PPC64_ENTRY, which <elf.h> lacks
  static constexpr std::string_view kFtraceCall = "_mcount";

  /// -mprofile-kernel: `mflr r0; [std r0,16(r1);] bl _mcount` at the local entry point.
  static bool has_profiling_call(const FunctionCode& function, uint64_t entry) {
    constexpr uint32_t kMflr = 0x7c0802a6, kStd = 0xf8010010;
    const auto word = [&](uint64_t at) {
      return at + kWord <= function.code.size() ? read_le<uint32_t>(function.code, at) : 0;
    };
    if (word(entry) != kMflr) return false;
    const uint64_t call = entry + (word(entry + kWord) == kStd ? 2 : 1) * kWord;
    return std::any_of(function.relocations.begin(), function.relocations.end(), [&](const elf::Relocation& r) {
      return r.type == R_PPC64_REL24 && r.symbol->name == kFtraceCall && r.offset == function.offset + call;
    });
  }

  /// -fpatchable-function-entry=2: two NOPs at the local entry point, which a table names.
  static bool has_patchable_entry(const FunctionCode& function, uint64_t entry) {
    if (function.code.size() < entry + 2 * kWord) return false;
    for (const uint64_t at : {entry, entry + kWord}) {
      if (read_le<uint32_t>(function.code, at) != kNop) return false;
    }
    const auto names_it = [&](const elf::Relocation& r) {
      return r.symbol->section == function.symbol.section &&
             r.symbol->value + static_cast<uint64_t>(r.addend) == function.offset + entry;
    };
    const auto& sections = function.object.sections();
    return std::any_of(sections.begin(), sections.end(), [&](const elf::Section& s) {
      return s.name == "__patchable_function_entries" &&
             std::any_of(s.relocations.begin(), s.relocations.end(), names_it);
    });
  }
};

}  // namespace

const Arch& ppc64() {
  static const Ppc64 instance;
  return instance;
}

}  // namespace klp::arch
