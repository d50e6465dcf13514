// The model of the module loader, with a kernel and livepatches of a few symbols.
#include "verify/loader.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstring>
#include <span>

#include "elf/klp_abi.h"
#include "elf_fixture.h"
#include "verify/replay.h"

using namespace klp;
using namespace klp::elf;
using namespace klp::verify;
using klp::test::ObjectFixture;

namespace {

/// What an image of 6.1 can say; a kernel of 6.12 has more.
constexpr std::string_view kMessages[] = {
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
std::vector<std::string_view> with(std::string_view beginning, std::string_view instead) {
  std::vector<std::string_view> result(std::begin(kMessages), std::end(kMessages));
  std::replace_if(
      result.begin(), result.end(), [&](std::string_view text) { return text.starts_with(beginning); }, instead);
  return result;
}

constexpr const char* kMagic = "6.1.0-1-test SMP mod_unload modversions ";

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

void put_version(std::vector<std::byte>& table, uint64_t crc, std::string_view name) {
  const size_t at = table.size();
  table.resize(at + 64);
  std::memcpy(table.data() + at, &crc, 8);
  std::memcpy(table.data() + at + 8, name.data(), name.size());
}

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

  std::vector<std::byte> file() const {
    constexpr uint32_t kAddr64 = 38, kRel24 = 10;  // ppc64's
    const bool x86 = machine == ObjectFixture::kX86_64;
    const uint32_t pointer = x86 ? test::kR64 : kAddr64;
    ObjectFixture m(machine);
    m.module({"license=GPL", "livepatch=Y", "name=fix", "vermagic=" + magic});
    auto& fixed = m.function("fixed", {0xe8, site_byte, 0, 0, 0, 0xe8, 0, 0, 0, 0, 0xc3});
    if (x86)
      fixed.calls("exported", 6);
    else
      fixed.bytes(code);
    m.function("init_module").global();
    std::memcpy(m.section(".gnu.linkonce.this_module").data.data() + 24, "fix", 3);  // struct module's name
    m.builder()
        .relocations(m.section(".gnu.linkonce.this_module"))
        .push_back({368, pointer, &m.symbol("init_module"), 0});
    BuilderSymbol symbol;
    symbol.name = reference;
    symbol.bind = kStbWeak;
    symbol.place = SymbolPlace::livepatch;
    BuilderSymbol& klp = m.builder().add_symbol(symbol);
    const BuilderRelocation klp_field =
        x86 ? BuilderRelocation{1, type, &klp, -4} : BuilderRelocation{0, kRel24, &klp, 0};
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
    std::vector<std::byte> versions;
    put_version(versions, 0x99, "module_layout");
    put_version(versions, crc, "exported");
    m.table("__versions", versions);
    return m.builder().serialize();
  }
};

LoadResult load(const Patch& patch, std::set<std::string> loaded = {}) {
  const TestKernel kernel;
  const TargetKernel target = kernel.target();
  Loader loader(target, patch.file(), {std::move(loaded), {}});
  return loader.load();
}

void check_refused(const LoadResult& result, int error, const std::vector<std::string>& messages) {
  INFO(result.reason);
  CHECK(result.outcome == Outcome::refused);
  CHECK(result.error == error);
  CHECK(result.messages == messages);
}

std::vector<std::string> told(const std::vector<ReplayedEvent>& events) {
  std::vector<std::string> all;
  for (const ReplayedEvent& e : events) all.push_back(e.what + ": " + std::string(to_string(e.result.outcome)));
  return all;
}

}  // namespace

TEST_CASE("a sound livepatch is taken and its sections hold what was to be written", "[loader]") {
  const TestKernel kernel;
  const TargetKernel target = kernel.target();
  Loader anywhere(target, Patch{}.file(), {});
  anywhere.load();
  Situation situation;
  for (const LoadedSection& section : anywhere.sections()) situation.addresses["fix"][section.name] = section.address;
  situation.addresses["fix"][".text.fixed"] = 0x1000;
  Loader loader(target, Patch{}.file(), situation);
  const LoadResult result = loader.load();
  INFO(result.reason);
  REQUIRE(result.outcome == Outcome::accepted);
  CHECK(result.faults.empty());
  CHECK(loader.patched_objects() == std::vector<std::string>{"vmlinux"});
  for (const LoadedSection& section : loader.sections()) {
    if (section.name != ".text.fixed") continue;
    int32_t silent = 0, exported = 0;
    std::memcpy(&silent, section.memory.data() + 1, 4);
    std::memcpy(&exported, section.memory.data() + 6, 4);
    CHECK(silent == 64 - 4 - 0x1001);
    CHECK(exported == 80 - 4 - 0x1006);
  }
}

TEST_CASE("what the loader refuses, with the kernel's words", "[loader]") {
  Patch patch;
  SECTION("version magic") {
    patch.magic = "6.1.0-2-other SMP mod_unload modversions ";  // the release is not compared
    CHECK(load(patch).outcome == Outcome::accepted);
    patch.magic = "6.1.0-1-test mod_unload modversions ";
    check_refused(load(patch), ENOEXEC,
                  {"fix: version magic '" + patch.magic + "' should be '" + std::string(kMagic) + "'"});
  }
  SECTION("symbol version") {
    patch.crc = 1;
    check_refused(load(patch), EINVAL,
                  {"fix: disagrees about version of symbol exported", "fix: Unknown symbol exported (err -22)"});
  }
  SECTION("a field that is not zero") {
    patch.site_byte = 1;
    check_refused(load(patch), ENOEXEC,
                  {"x86/modules: Skipping invalid relocation target, existing value is nonzero for type 4, loc <...>, "
                   "val <...>"});
  }
  SECTION("a relocation that the loader does not know") {
    patch.type = 9;
    check_refused(load(patch), ENOEXEC, {"fix: Unknown rela relocation: 9"});
  }
  SECTION("no such symbol") {
    patch.reference = ".klp.sym.vmlinux.nowhere,0";
    check_refused(load(patch), EINVAL, {"symbol 'nowhere' not found in symbol table"});
  }
  SECTION("a symbol that is there twice") {
    patch.reference = ".klp.sym.vmlinux.twice,0";
    check_refused(load(patch), EINVAL, {"unresolvable ambiguity for symbol 'twice' in object '(null)'"});
    patch.reference = ".klp.sym.vmlinux.twice,2";
    CHECK(load(patch).outcome == Outcome::accepted);
    patch.reference = ".klp.sym.vmlinux.twice,3";
    check_refused(load(patch), EINVAL, {"symbol position 3 for symbol 'twice' in object 'vmlinux' not found"});
  }
  SECTION("a function without an ftrace site") {
    patch.old_function = "silent";
    check_refused(load(patch), EINVAL,
                  {"failed to find location for function 'silent'", "failed to patch object 'vmlinux'",
                   "failed to enable patch 'fix'"});
  }
  SECTION("a function whose site may be taken for another one's is taken, and that is a fault") {
    patch.old_function = "unsure";
    const LoadResult result = load(patch);
    CHECK(result.outcome == Outcome::accepted);
    REQUIRE(result.faults.size() == 1);
    CHECK_THAT(result.faults.front(), Catch::Contains("unsure is not redirected for sure"));
  }
  SECTION("a name that is longer than this kernel reads") {
    patch.reference = ".klp.sym.vmlinux." + std::string(128, 'x') + ",0";
    const LoadResult result = load(patch);
    CHECK(result.outcome == Outcome::refused);
    CHECK(result.error == EINVAL);
  }
  SECTION("no object file") {
    const TestKernel kernel;
    const TargetKernel target = kernel.target();
    std::vector<std::byte> file = patch.file();
    file[16] = std::byte{2};
    Loader loader(target, file, {});
    check_refused(loader.load(), ENOEXEC, {"Invalid ELF header type: 2 != 1"});
  }
}

TEST_CASE("other kernels say it with other words", "[loader]") {
  Patch patch;
  SECTION("5.10: one message for files that make no sense") {
    const TestKernel kernel(false, ObjectFixture::kX86_64,
                            with("Invalid ELF header type", "Module has invalid ELF structures"));
    const TargetKernel target = kernel.target();
    std::vector<std::byte> file = patch.file();
    file[16] = std::byte{2};
    Loader loader(target, file, {});
    check_refused(loader.load(), ENOEXEC, {"Module has invalid ELF structures"});
  }
  SECTION("7.2: the place of a field that is not zero") {
    const TestKernel kernel(
        true, ObjectFixture::kX86_64,
        with("x86/modules: Skipping",
             "x86/modules: Invalid relocation target, existing value is nonzero for sec %u, idx %u, type %d, loc %lx"));
    const TargetKernel target = kernel.target();
    patch.site_byte = 1;
    Loader loader(target, patch.file(), {});
    check_refused(
        loader.load(), ENOEXEC,
        {"x86/modules: Invalid relocation target, existing value is nonzero for sec <...>, idx <...>, type 4, "
         "loc <...>, val <...>"});
  }
}

TEST_CASE("kernels that relocate vmlinux's references late read tables before", "[loader]") {
  Patch patch;
  patch.jump_site = true;
  const TestKernel early;
  const TestKernel late(false, ObjectFixture::kX86_64, with("livepatch: symbol position", ".klp.arch.%55[^.].%127s"));
  for (const TestKernel* kernel : {&early, &late}) {
    const TargetKernel target = kernel->target();
    Loader loader(target, patch.file(), {});
    const LoadResult result = loader.load();
    INFO(result.reason);
    CHECK(result.faults.empty() == (kernel == &early));
    if (kernel == &late) CHECK(result.outcome == Outcome::unpredictable);
  }
}

TEST_CASE("pointers in per-cpu variables are written by some kernels only", "[loader]") {
  Patch patch;
  patch.pointer_per_cpu = true;
  const TestKernel kernel;
  for (const bool writes : {true, false}) {
    TargetKernel::Pieces pieces = kernel.pieces();
    pieces.source_has = [&](const std::string& file, const std::string&) {
      return writes || file == "kernel/livepatch/core.c";
    };
    const TargetKernel target(std::move(pieces));
    Loader loader(target, patch.file(), {});
    const LoadResult result = loader.load();
    CHECK(result.outcome == Outcome::accepted);
    CHECK(result.faults.empty() == writes);
  }
}

TEST_CASE("a call of a weak function that the kernel does not have goes to address 0", "[loader]") {
  Patch patch;
  patch.weak_import = true;
  CHECK(load(patch).outcome == Outcome::accepted);
  TestKernel kernel;
  kernel.exports = {};
  kernel.exports["module_layout"] = {0x99, "vmlinux", false, {}};
  const TargetKernel target = kernel.target();
  Loader loader(target, patch.file(), {});
  const LoadResult result = loader.load();
  CHECK(result.outcome == Outcome::unpredictable);
  patch.asks_for_import = true;
  Loader asks(target, patch.file(), {});
  CHECK(asks.load().outcome == Outcome::accepted);
  CHECK_THAT(result.reason, Catch::Contains("exported is weak and not in this kernel"));
}

TEST_CASE("a patched module comes, goes, and comes again", "[loader]") {
  Patch patch;
  patch.object = patch.owner = "late";
  patch.old_function = "in_module";
  patch.reference = ".klp.sym.late.in_module,0";
  const TestKernel forgets, clears(true);
  SECTION("the kernel leaves what it wrote") {
    const TargetKernel target = forgets.target();
    const auto events = replay(target, patch.file());
    CHECK(told(events) == std::vector<std::string>{"load: accepted", "late comes: accepted", "late goes: accepted",
                                                   "late comes again: refused",
                                                   "load, with the modules there: accepted"});
    CHECK(events.at(3).result.messages.back() ==
          "patch 'fix' failed for module 'late', refusing to load module 'late'");
  }
  SECTION("the kernel leaves it, but the livepatch's own callback clears it") {
    patch.clears = true;
    const TargetKernel target = forgets.target();
    for (const ReplayedEvent& event : replay(target, patch.file())) {
      INFO(event.what + event.result.reason);
      CHECK(event.good());
    }
  }
  SECTION("the kernel clears it") {
    const TargetKernel target = clears.target();
    for (const ReplayedEvent& event : replay(target, patch.file())) {
      INFO(event.what + event.result.reason);
      CHECK(event.good());
    }
  }
  SECTION("vmlinux is out of reach of a module's section") {
    patch.reference = ".klp.sym.vmlinux.shown,0";
    CHECK(load(patch).outcome == Outcome::accepted);
    check_refused(load(patch, {"late"}), EINVAL,
                  {"invalid access to vmlinux symbol 'shown' from module-specific livepatch relocation section"});
  }
  SECTION("a relocation in bytes that are replaced at load") {
    patch.jump_site = true;
    const LoadResult result = load(patch);
    CHECK(result.outcome == Outcome::accepted);
    REQUIRE(result.faults.size() == 1);
    CHECK_THAT(result.faults.front(), Catch::Contains("before they are relocated"));
    CHECK(load(patch, {"late"}).outcome == Outcome::unpredictable);
  }
}

TEST_CASE("ppc64: a call that leaves the module needs a NOP behind it", "[loader]") {
  struct Case {
    std::vector<std::byte> behind;
    bool restored_is_taken, taken, comes_again;
  };
  const auto nop = test::to_bytes({0, 0, 0, 0x60}), other = test::to_bytes({0x20, 0, 0x80, 0x4e});
  for (const Case& c : {Case{nop, false, true, false}, Case{nop, true, true, true}, Case{other, true, false, false}}) {
    const TestKernel kernel(false, ObjectFixture::kPpc64);
    TargetKernel::Pieces pieces = kernel.pieces();
    pieces.source_has = [&](const std::string&, const std::string&) { return c.restored_is_taken; };
    const TargetKernel target(std::move(pieces));
    Patch patch;
    patch.machine = ObjectFixture::kPpc64;
    patch.object = patch.owner = "late";
    patch.old_function = "in_module";
    patch.reference = ".klp.sym.late.in_module,0";
    patch.code = test::to_bytes({1, 0, 0, 0x48});
    patch.code.insert(patch.code.end(), c.behind.begin(), c.behind.end());
    Loader loader(target, patch.file(), {});
    const LoadResult loaded = loader.load();
    INFO(loaded.reason);
    REQUIRE(loaded.outcome == Outcome::accepted);
    CHECK((loader.module_arrives("late").outcome == Outcome::accepted) == c.taken);
    if (!c.taken) continue;
    loader.module_leaves("late");
    CHECK((loader.module_arrives("late").outcome == Outcome::accepted) == c.comes_again);
  }
}
