#include "elf/ftrace_site.h"

#include <catch2/catch.hpp>

#include "elf_fixture.h"

using namespace klp;
using elf::FtraceSite;
using test::ObjectFixture;

namespace {

constexpr uint32_t kAddr64 = 38;  // R_PPC64_ADDR64

/// "first" at 0 and "second" at 64 in one section; sites as in the list.
struct Binary {
  uint16_t machine = ObjectFixture::kX86_64;
  std::vector<uint64_t> sites = {};
  const char* table = "__mcount_loc";
  const char* behind_first = nullptr;  ///< a symbol at 32

  elf::ElfObject module() const {
    ObjectFixture o(machine);
    functions(o);
    auto& list = o.table(table, std::vector<std::byte>(sites.size() * 8));
    for (size_t i = 0; i < sites.size(); ++i)
      list.refers_to_section(i * 8, machine == ObjectFixture::kX86_64 ? test::kR64 : kAddr64, ".text",
                             static_cast<int64_t>(sites[i]));
    return o.result("shipped.ko");
  }

  elf::ElfObject image() const {
    ObjectFixture o(machine);
    functions(o);
    std::vector<std::byte> content(sites.size() * 8);
    for (size_t i = 0; i < sites.size(); ++i) content[i * 8] = static_cast<std::byte>(sites[i]);
    auto& list = o.table(".init.data", content);
    o.label("__start_mcount_loc", list, 0);
    o.label("__stop_mcount_loc", list, content.size());
    return o.result("vmlinux");
  }

  void functions(ObjectFixture& o) const {
    auto& text = o.table(".text", std::vector<std::byte>(128), elf::kShfAlloc | elf::kShfExec);
    o.label("first", text, 0, 24, elf::kSttFunc);
    if (behind_first != nullptr) o.label(behind_first, text, 32);
    o.label("second", text, 64, 24, elf::kSttFunc);
  }

  FtraceSite of(const char* function) const {
    const elf::ElfObject a = module(), b = image();
    const FtraceSite in_module = elf::ftrace_site(a, *a.symbols_named(function).front());
    CHECK(elf::ftrace_site(b, *b.symbols_named(function).front()) == in_module);
    return in_module;
  }
};

}  // namespace

TEST_CASE("a site at a function's start, behind an ENDBR, or none", "[ftrace-site]") {
  for (const uint64_t at : {0, 4}) {
    CHECK(Binary{.sites = {at}}.of("first") == FtraceSite::own);
    CHECK(Binary{.sites = {at}}.of("second") == FtraceSite::none);
    CHECK(Binary{.sites = {at, 64 + at}}.of("second") == FtraceSite::own);
  }
  ObjectFixture o;
  o.function("f");
  const elf::ElfObject no_table = o.result();
  CHECK(elf::ftrace_site(no_table, *no_table.symbols_named("f").front()) == FtraceSite::unknown);
}

TEST_CASE("code without a symbol behind a function, with a site of its own", "[ftrace-site]") {
  // The place itself is found first; only from the address of a function whose site is further in anything may come.
  CHECK(Binary{.sites = {0, 48}}.of("first") == FtraceSite::own);
  CHECK(Binary{.sites = {4, 48}}.of("first") == FtraceSite::ambiguous);
  CHECK(Binary{.sites = {4, 48, 52, 56}}.of("first") == FtraceSite::ambiguous);
  CHECK(Binary{.sites = {64 + 4, 64 + 48}}.of("second") == FtraceSite::ambiguous);  // up to the section's end
  // The other one's alone: it is not the function's.
  CHECK(Binary{.sites = {48}}.of("first") == FtraceSite::none);
  // A symbol ends the function for the kernel, unless kallsyms leaves it out.
  CHECK(Binary{.sites = {4, 48}, .behind_first = "label"}.of("first") == FtraceSite::own);
}

TEST_CASE("POWER's sites are at no function's start", "[ftrace-site]") {
  constexpr uint16_t kPower = ObjectFixture::kPpc64;
  CHECK(Binary{.machine = kPower, .sites = {12}}.of("first") == FtraceSite::own);
  CHECK(Binary{.machine = kPower, .sites = {12, 36}}.of("first") == FtraceSite::ambiguous);
  // What the table names there may be the NOP in front of the site (ftrace_call_adjust).
  CHECK(Binary{.machine = kPower, .sites = {0, 36}}.of("first") == FtraceSite::ambiguous);
}

TEST_CASE("a module's list of NOPs at functions: sites on POWER, padding on x86", "[ftrace-site]") {
  constexpr const char* kTable = "__patchable_function_entries";
  const elf::ElfObject power = Binary{.machine = ObjectFixture::kPpc64, .sites = {8, 36}, .table = kTable}.module();
  CHECK(elf::ftrace_site(power, *power.symbols_named("first").front()) == FtraceSite::ambiguous);
  const elf::ElfObject x86 = Binary{.sites = {4, 48}, .table = kTable}.module();
  CHECK(elf::ftrace_site(x86, *x86.symbols_named("first").front()) == FtraceSite::unknown);
}
