// A kernel and livepatches of a few symbols, for the model of the module loader.
#pragma once

#include <algorithm>
#include <cstring>
#include <span>

#include "elf/klp_abi.h"
#include "elf_fixture.h"
#include "verify/replay.h"

namespace klp::test {

using namespace klp::elf;
using namespace klp::verify;

/// What an image of 6.1 can say; a kernel of 6.12 has more.
inline constexpr std::string_view kMessages[] = {
    "%s: Unknown symbol %s (err %d)",
    "%s: disagrees about version of symbol %s",
    "%s: version magic '%s' should be '%s'",
    "Invalid ELF header type: %u != %u",
    "module: %s: Unknown rela relocation: %llu",
    "x86/modules: Skipping invalid relocation target, existing value is nonzero for type %d, loc %p, val %Lx",
    "livepatch: symbol '%s' not found in symbol table",
    "livepatch: unresolvable ambiguity for symbol '%s' in object '%s'",
    "livepatch: symbol position %lu for symbol '%s' in object '%s' not found",
    "livepatch: invalid access to vmlinux symbol '%s' from module-specific livepatch relocation section",
    "livepatch: failed to find location for function '%s'",
    "livepatch: failed to patch object '%s'",
    "livepatch: failed to enable patch '%s'",
    "livepatch: failed to initialize patch '%s' for module '%s' (%d)",
    "livepatch: patch '%s' failed for module '%s', refusing to load module '%s'",
    ".klp.sym.%55[^.].%127[^,],%lu"};

/// `messages` with one of them told in another way.
inline std::vector<std::string_view> with(std::string_view beginning, std::string_view instead) {
  std::vector<std::string_view> result(std::begin(kMessages), std::end(kMessages));
  std::replace_if(
      result.begin(), result.end(), [&](std::string_view text) { return text.starts_with(beginning); }, instead);
  return result;
}

inline constexpr const char* kMagic = "6.1.0-1-test SMP mod_unload modversions ";

struct TestKernel {
  explicit TestKernel(bool clears = false, uint16_t machine = ObjectFixture::kX86_64,
                      std::span<const std::string_view> messages = kMessages) {
    ObjectFixture image(machine);
    std::string texts;
    for (const std::string_view message : messages) texts += std::string(message) + '\0';
    texts += std::string(kMagic) + '\0';
    test::Piece& rodata = image.table(".rodata", test::to_bytes(texts));
    image.label("vermagic", rodata, texts.size() - std::strlen(kMagic) - 1);
    test::Piece& text = image.table(".text", std::vector<std::byte>(256), kShfAlloc | kShfExec);
    image.label("shown", text, 16, 16, kSttFunc);
    image.label("twice", text, 32, 16, kSttFunc);
    image.label("twice", text, 48, 16, kSttFunc);
    image.label("silent", text, 64, 16, kSttFunc);
    image.label("exported", text, 80, 16, kSttFunc).bind = kStbGlobal;
    if (clears) image.label("clear_relocate_add", text, 96, 16, kSttFunc).bind = kStbGlobal;
    image.label("unsure", text, 112, 16, kSttFunc);
    std::vector<std::byte> sites;
    for (const int at : {16, 32, 48, 112 + 4, 112 + 32}) {  // "unsure" has one in it and one behind it
      sites.push_back(static_cast<std::byte>(at));
      sites.resize((sites.size() + 7) / 8 * 8);
    }
    test::Piece& table = image.table(".init.data", sites);
    image.label("__start_mcount_loc", table, 0);
    image.label("__stop_mcount_loc", table, sites.size());
    vmlinux = image.result("vmlinux");

    ObjectFixture late(machine);
    late.module({"name=late", "depends="});
    late.function("in_module", std::vector<std::byte>(16));
    late.table("__mcount_loc", std::vector<std::byte>(8)).refers(0, test::kR64, "in_module");
    module = late.result("late.ko");

    exports["exported"] = {0x1234, "vmlinux", false, {}};
    exports["module_layout"] = {0x99, "vmlinux", false, {}};
    exports["klp_enable_patch"] = {0x55, "vmlinux", true, {}};
  }

  TargetKernel target() const { return TargetKernel(pieces()); }

  TargetKernel::Pieces pieces() const {
    TargetKernel::Pieces pieces;
    pieces.vmlinux = &vmlinux;
    pieces.exports = &exports;
    pieces.config = [](const std::string& symbol) { return symbol == "MODVERSIONS"; };
    pieces.module = [this](const std::string& name) { return name == "late" ? &module : nullptr; };
    return pieces;
  }

  ElfObject vmlinux = ObjectFixture().result(), module = ObjectFixture().result();
  Exports exports;
};

inline void put_version(std::vector<std::byte>& table, uint64_t crc, std::string_view name) {
  const size_t at = table.size();
  table.resize(at + 64);
  std::memcpy(table.data() + at, &crc, 8);
  std::memcpy(table.data() + at + 8, name.data(), name.size());
}

/// A reference of "fixed" to a symbol.
struct PlainReference {
  uint64_t offset = 0;
  uint32_t type = 0;
  std::string symbol;
  int64_t addend = 0;
};

/// A livepatch that replaces `old_function` of `object` (empty: vmlinux) by a function with one klp reference.
struct Patch {
  std::string object, old_function = "shown";
  uint64_t sympos = 0;
  std::string reference = ".klp.sym.vmlinux.silent,0", owner = "vmlinux";
  uint32_t type = test::kRPlt32;
  std::string magic = kMagic;
  uint64_t crc = 0x1234;
  int site_byte = 0;
  bool jump_site = false, clears = false, pointer_per_cpu = false, weak_import = false, asks_for_import = false;
  uint16_t machine = ObjectFixture::kX86_64;
  std::vector<std::byte> code = {};  ///< ppc64's: a call, which has the klp reference, and what follows
  bool stubs = true;                 ///< ... and a section for its stubs
  uint32_t klp_type = 10;            ///< ... and what it is (R_PPC64_REL24)
  bool feature_table = false;        ///< ... and a table that lets its first two instructions be replaced
  std::vector<PlainReference> references = {};

  std::vector<std::byte> file() const {
    constexpr uint32_t kAddr64 = 38, kRel64 = 44;  // ppc64's
    const bool x86 = machine == ObjectFixture::kX86_64;
    const uint32_t pointer = x86 ? test::kR64 : kAddr64;
    ObjectFixture m(machine);
    m.module({"license=GPL", "livepatch=Y", "name=fix", "vermagic=" + magic});
    auto& fixed = m.function("fixed", {0xe8, site_byte, 0, 0, 0, 0xe8, 0, 0, 0, 0, 0xc3});
    if (x86) {
      fixed.calls("exported", 6);
    } else {
      fixed.bytes(code);
      if (stubs) m.table(".stubs", {}, kShfAlloc | kShfExec).section().type = kShtNobits;
      m.table(".toc", std::vector<std::byte>(16), kShfAlloc | kShfWrite);
    }
    m.function("init_module").global();
    std::memcpy(m.section(".gnu.linkonce.this_module").data.data() + 24, "fix", 3);  // struct module's name
    m.builder()
        .relocations(m.section(".gnu.linkonce.this_module"))
        .push_back({368, pointer, &m.symbol("init_module"), 0});
    for (const PlainReference& r : references) {
      BuilderSymbol& to = m.symbol(r.symbol);
      m.builder().relocations(fixed.section()).push_back({r.offset, r.type, &to, r.addend});
    }
    BuilderSymbol symbol;
    symbol.name = reference;
    symbol.bind = kStbWeak;
    symbol.place = SymbolPlace::livepatch;
    BuilderSymbol& klp = m.builder().add_symbol(symbol);
    const BuilderRelocation klp_field =
        x86 ? BuilderRelocation{1, type, &klp, -4} : BuilderRelocation{0, klp_type, &klp, 0};
    fixed.section().relas.push_back({klp_rela_name(owner, ".text.fixed"), kShfAlloc | kShfRelaLivepatch, {klp_field}});
    auto& table = m.table(std::string(kFuncsSection), std::vector<std::byte>(kFuncsEntrySize), kShfAlloc | kShfWrite);
    if (!object.empty()) table.refers_to_section(0, pointer, ".rodata.str1.1", static_cast<int64_t>(m.string(object)));
    table.refers_to_section(8, pointer, ".rodata.str1.1", static_cast<int64_t>(m.string(old_function)));
    table.refers(16, pointer, "fixed");
    table.section().data[24] = static_cast<std::byte>(sympos);
    if (clears) m.rodata("klp_diff_clear_when_gone", 1).bytes({1}).global();
    if (pointer_per_cpu)
      m.table(".data..percpu", std::vector<std::byte>(8), kShfAlloc | kShfWrite).refers(0, pointer, "fixed");
    if (weak_import) m.symbol("exported").bind = kStbWeak;
    if (asks_for_import) m.table(".rodata.asks", std::vector<std::byte>(8)).refers(0, pointer, "exported");
    if (jump_site) m.table(".return_sites", std::vector<std::byte>(4)).refers(0, test::kRPc32, "fixed");
    if (feature_table) {
      m.table("__ftr_fixup", std::vector<std::byte>(48))
          .refers(16, kRel64, "fixed", 16)
          .refers(24, kRel64, "fixed", 8 + 24);
    }
    std::vector<std::byte> versions;
    put_version(versions, 0x99, "module_layout");
    put_version(versions, crc, "exported");
    m.table("__versions", versions);
    return m.builder().serialize();
  }
};

}  // namespace klp::test
