// x86_64: relocations, the ftrace site and the kernel's tables.
//
// A PC-relative field holds S + A - P with P the field's own address, but the processor adds it to the address of the
// next instruction. So the compiler puts the distance from field to instruction end into the addend: `cmpb $1, x(%rip)`
// has addend -5, a call -4. In tables the kernel adds the value to the field's own address and the addend is the offset
// itself.
#include "arch/x86_64/x86_64.h"

#include <elf.h>

#include <algorithm>

#include "elf/relocation_name.h"
#include "support/error.h"

namespace klp::arch {
namespace {

// What the source tells objtool of the code; the linker script of modules drops it (scripts/module.lds.S). A kernel
// with IBT has objtool look at the linked module, which needs it then. include/linux/objtool.h, instrumentation.h,
// arch/x86/include/asm/{alternative,ibt,nospec-branch}.h, Linux 5.10-6.12: an address, relative or not; 7.x: with a
// type.
void add_annotations(std::vector<TableSpec>& tables) {
  for (const std::string_view section :
       {".discard.reachable", ".discard.unreachable", ".discard.retpoline_safe", ".discard.noendbr",
        ".discard.ignore_alts", ".discard.instr_begin", ".discard.instr_end", ".discard.validate_unret",
        ".discard.intra_function_calls", ".discard.ibt_endbr_noseal", ".discard.func_stack_frame_non_standard"}) {
    tables.push_back({.section = section,
                      .layouts = {{.size = 4, .fields = {0}}, {.size = 8, .fields = {0}}},
                      .for_build_tools = true});
  }
  tables.push_back(
      {.section = ".discard.unwind_hints", .layouts = {{.size = 12, .fields = {0}}}, .for_build_tools = true});
  tables.push_back(
      {.section = ".discard.annotate_insn", .layouts = {{.size = 8, .fields = {0}}}, .for_build_tools = true});
}

// struct names are the kernel's; sizes of the records without a struct are those of their one relocated field.
// Layouts: arch/x86/include/asm/{alternative,jump_label,bug,extable,orc_types,paravirt_types}.h and
// include/linux/static_call_types.h, Linux 5.10-6.12; the longer jump_entry, with absolute addresses, is that of 4.x,
// and the alt_instr of 13 bytes, with padlen behind the lengths, that of 4.x to 5.9.
std::vector<TableSpec> make_tables() {
  std::vector<TableSpec> tables;
  const auto alternative = [](uint32_t size, uint32_t lengths) {
    return TableLayout{.size = size,  // An empty replacement may have no relocation.
                       .fields = {0},
                       .sometimes = {4},
                       .replacement = std::pair{4U, lengths + 1},
                       .site_length = lengths};
  };
  tables.push_back({.section = ".altinstructions",
                    .entry_struct = "alt_instr",
                    .layouts = {alternative(12, 10), alternative(13, 10), alternative(14, 12)},
                    .compared = true});
  tables.push_back({.section = ".parainstructions",
                    .entry_struct = "paravirt_patch_site",
                    .layouts = {{.size = 16, .fields = {0}, .site_length = 9}},
                    .compared = true,
                    .may_end_short = true});
  tables.push_back({.section = "__jump_table",
                    .entry_struct = "jump_entry",
                    .layouts = {{.size = 16, .fields = {0, 4, 8}, .void_when_equal = true},
                                {.size = 24, .fields = {0, 8, 16}, .void_when_equal = true}},
                    .compared = true,
                    .switches_branch = true});
  tables.push_back({.section = ".static_call_sites",
                    .entry_struct = "static_call_site",
                    .layouts = {{.size = 8, .fields = {0, 4}}},
                    .compared = true,
                    .code_is_complete = true});
  tables.push_back({.section = "__ex_table",
                    .entry_struct = "exception_table_entry",
                    .layouts = {{.size = 12, .fields = {0, 4}, .sometimes = {8}, .outlined = 4},
                                {.size = 8, .fields = {0, 4}, .outlined = 4}},
                    .compared = true});
  tables.push_back({.section = "__bug_table",
                    .entry_struct = "bug_entry",
                    .layouts = {{.size = 12, .fields = {0}, .sometimes = {4}, .ignored = {{8, 2}}},
                                // 6.19 and later: the format of WARN's text before the file's name.
                                {.size = 16, .fields = {0}, .sometimes = {4, 8}, .ignored = {{12, 2}}}},
                    .compared = true});
  tables.push_back({.section = ".orc_unwind_ip",
                    .layouts = {{.size = 4, .fields = {0}}},
                    .parallel = ".orc_unwind",
                    .parallel_size = 6,
                    .ranges = true});
  for (const std::string_view sites : {".smp_locks", ".retpoline_sites", ".return_sites", ".call_sites"}) {
    tables.push_back({.section = sites, .layouts = {{.size = 4, .fields = {0}}}});
  }
  tables.push_back({.section = "__mcount_loc", .layouts = {{.size = 8, .fields = {0}}}});
  // runtime_const_ptr() and runtime_const_shift_right_32(): arch/x86/include/asm/runtime-const.h, Linux 6.11-6.12.
  for (const auto& [section, size] : {std::pair<std::string_view, uint8_t>{"runtime_ptr_", 8}, {"runtime_shift_", 1}}) {
    tables.push_back(
        {.section = section, .layouts = {{.size = 4, .fields = {0}}}, .compared = true, .constant_size = size});
  }
  add_annotations(tables);
  // Sealing an ENDBR is decided from the references of one build: a carried function may be reached otherwise. Dropping
  // is always safe.
  for (const std::string_view dropped : {".ibt_endbr_seal", "__patchable_function_entries"}) {
    tables.push_back(
        {.section = dropped, .layouts = {{.size = dropped[0] == '.' ? 4U : 8U, .fields = {0}}}, .drop = true});
  }
  // Names of the tracepoints that a unit uses, which the kernel's build holds against those that are defined (7.x).
  tables.push_back({.section = "__tracepoint_check", .drop = true});
  return tables;
}

class X86_64 : public Arch {
 public:
  std::string_view name() const override { return "x86_64"; }

  FieldKind field_kind(const elf::Relocation& relocation) const override {
    switch (relocation.type) {
      case R_X86_64_NONE:
        return {0, false, true};
      case R_X86_64_64:
        return {8, false, true};
      case R_X86_64_PC64:
        return {8, true, true};
      case R_X86_64_PC32:
      case R_X86_64_PLT32:
        return {4, true, true};
      case R_X86_64_32S:
        return {4, false, true};
      case R_X86_64_32:
        return {4, false, false};
      default:
        throw Error(fmt::format("{}+{:#x}: relocation {} is not used by kernel code", relocation.section->name,
                                relocation.offset, elf::relocation_name(EM_X86_64, relocation.type)),
                    "compile with the kernel's own flags (no -fpic, no TLS)");
    }
  }

  int64_t bias(const elf::Relocation&, uint64_t to_instruction_end) const override {
    return static_cast<int64_t>(to_instruction_end);
  }

  int64_t target_offset(const elf::Relocation& relocation, int64_t bias) const override {
    return field_kind(relocation).pc_relative ? relocation.addend + bias : relocation.addend;
  }

  int64_t addend_for(uint32_t type, int64_t offset, int64_t bias) const override {
    const bool relative = type == R_X86_64_PC32 || type == R_X86_64_PLT32 || type == R_X86_64_PC64;
    return relative ? offset - bias : offset;
  }

  // arch/x86/kernel/module.c: apply_relocate_add, 5.10-6.12.
  bool loader_accepts(uint32_t type) const override {
    return type == R_X86_64_NONE || type == R_X86_64_64 || type == R_X86_64_PC32 || type == R_X86_64_PLT32 ||
           type == R_X86_64_32 || type == R_X86_64_32S || type == R_X86_64_PC64;
  }

  // Modules lie within 2 GiB of the kernel (arch/x86/include/asm/pgtable_64_types.h: MODULES_VADDR).
  bool reaches_out(uint32_t) const override { return true; }

  // module.c uses text_poke where the module is write-protected.
  bool loader_accepts_late(uint32_t type, uint64_t) const override { return loader_accepts(type); }

  bool is_made_by_loader(std::string_view) const override { return false; }
  uint64_t slot_size(const elf::Section&) const override { return 0; }
  bool loads_slot(uint32_t) const override { return false; }
  bool unnamed_is_constant(std::string_view) const override { return false; }
  uint64_t prefix_size(const elf::Symbol&) const override { return 0; }
  bool is_replacement_code(std::string_view) const override { return false; }

  // The long way of static_cpu_has(): the site is always rewritten (ALTERNATIVE with X86_FEATURE_ALWAYS,
  // arch/x86/include/asm/cpufeature.h).
  bool runs_before_patching_only(std::string_view section) const override { return section == ".altinstr_aux"; }

  uint32_t absolute_type() const override { return R_X86_64_64; }
  uint32_t relative_type() const override { return R_X86_64_PC32; }

  std::optional<BranchField> branch_field(const elf::Instruction& branch) const override {
    constexpr int64_t kWidth = 4;
    if (branch.size <= kWidth) return std::nullopt;
    return BranchField{branch.size - static_cast<uint64_t>(kWidth), R_X86_64_PC32, kWidth};
  }

  Leaving leaving(std::span<const std::byte>, uint64_t, std::string_view) const override { return Leaving::fine; }

  // `call __fentry__` at the start, after an endbr64 where the kernel has IBT. recordmcount and -mnop-mcount leave a
  // five-byte NOP in its place and a relocation of type NONE.
  bool has_ftrace_site(const FunctionCode& function) const override {
    const std::span<const std::byte> code = function.code;
    const auto relocations = function.relocations;
    const uint64_t call = site_offset(code);
    if (code.size() < call + kCallSize) return false;
    const auto at_field = [&](const elf::Relocation& r) {
      return r.offset == function.offset + call + 1 && r.symbol->name == "__fentry__";
    };
    const auto found = std::find_if(relocations.begin(), relocations.end(), at_field);
    if (code[call] == kCall) return found != relocations.end();
    return std::any_of(relocations.begin(), relocations.end(), [&](const elf::Relocation& r) {
      return dormant_ftrace_call(function.code, r, function.offset).has_value();
    });
  }

  std::optional<DormantCall> dormant_ftrace_call(std::span<const std::byte> code, const elf::Relocation& relocation,
                                                 uint64_t function_offset) const override {
    const uint64_t call = site_offset(code);
    if (relocation.type != R_X86_64_NONE || relocation.symbol->name != "__fentry__") return std::nullopt;
    if (relocation.offset != function_offset + call + 1 || code.size() < call + kCallSize) return std::nullopt;
    const auto site = code.subspan(call, kCallSize);
    if (!std::equal(site.begin(), site.end(), kNop5)) return std::nullopt;
    return DormantCall{kCall, R_X86_64_PC32, -4};
  }

  // arch/x86/include/asm/nops.h; objtool and the compiler's asm write these two for jump labels.
  bool begins_with_nop(std::span<const std::byte> code) const override {
    const auto begins_with = [&](std::span<const std::byte> nop) {
      return code.size() >= nop.size() && std::equal(nop.begin(), nop.end(), code.begin());
    };
    return begins_with(kNop2) || begins_with(kNop5);
  }

  // arch/x86/include/asm/jump_label.h (6.1): with the hack for objtool the asm has a jump, and bit 1 of the key's
  // addend says that objtool must write a NOP. A kernel with IBT runs it at the link only, so that units still have the
  // jump.
  std::span<const std::byte> branch_placeholder(std::span<const std::byte> code, int64_t key_addend) const override {
    constexpr int64_t kMustBeNop = 2;
    constexpr std::byte kShortJump{0xeb};
    if ((key_addend & kMustBeNop) == 0 || code.empty()) return {};
    if (code[0] == kShortJump && code.size() >= sizeof kNop2) return kNop2;
    if (code[0] == kJump && code.size() >= sizeof kNop5) return kNop5;
    return {};
  }

  // cmpl $0, key(%rip); jne/je taken; jmp back. An asm statement may change the flags (GCC's x86 back end counts them
  // as clobbered by each), so none are in use at a site. A count below 0 means that the key is being switched on
  // (kernel/jump_label.c: static_key_count).
  std::optional<KeyTestCode> key_test(std::span<const std::byte> code, bool taken_when_off) const override {
    if (code.size() < sizeof kNop5) return std::nullopt;
    if (code[0] != kJump && !std::equal(kNop5, kNop5 + sizeof kNop5, code.begin())) return std::nullopt;
    KeyTestCode result{.jump = bytes({0xe9, 0, 0, 0, 0}),
                       .test = bytes({0x83, 0x3d, 0, 0, 0, 0, 0,                       //
                                      0x0f, taken_when_off ? 0x84 : 0x85, 0, 0, 0, 0,  //
                                      0xe9, 0, 0, 0, 0})};
    result.key = 2;
    result.key_to_pc = 5;
    result.taken = 9;
    result.back = 14;
    return result;
  }

  // A gs prefix; another one may stand before it.
  bool uses_per_cpu_area(std::span<const std::byte> instruction) const override {
    constexpr std::byte kGs{0x65};
    return (!instruction.empty() && instruction[0] == kGs) || (instruction.size() > 1 && instruction[1] == kGs);
  }

  IndirectEntry indirect_entry() const override { return {kEndbr64, ".ibt_endbr_seal"}; }

  std::vector<std::byte> jump_away(uint64_t size) const override {
    std::vector<std::byte> code = bytes({0xe9, 0, 0, 0, 0});
    if (size < code.size()) return {};
    code.resize(size, std::byte{0x90});
    return code;
  }

  const std::vector<TableSpec>& tables() const override {
    static const std::vector<TableSpec> tables = make_tables();
    return tables;
  }

 private:
  static constexpr uint64_t kCallSize = 5;
  static constexpr std::byte kCall{0xe8}, kJump{0xe9};
  static constexpr std::byte kNop2[] = {std::byte{0x66}, std::byte{0x90}};
  static constexpr std::byte kEndbr64[] = {std::byte{0xf3}, std::byte{0x0f}, std::byte{0x1e}, std::byte{0xfa}};
  static constexpr std::byte kNop5[] = {std::byte{0x0f}, std::byte{0x1f}, std::byte{0x44}, std::byte{0}, std::byte{0}};

  static std::vector<std::byte> bytes(std::initializer_list<int> values) {
    std::vector<std::byte> result;
    for (const int value : values) result.push_back(static_cast<std::byte>(value));
    return result;
  }

  static uint64_t site_offset(std::span<const std::byte> code) {
    return code.size() >= 4 && std::equal(kEndbr64, kEndbr64 + 4, code.begin()) ? 4 : 0;
  }
};

}  // namespace

const Arch& x86_64() {
  static const X86_64 instance;
  return instance;
}

}  // namespace klp::arch
