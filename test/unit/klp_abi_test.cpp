#include "elf/klp_abi.h"

#include <catch2/catch.hpp>

using namespace klp::elf;

TEST_CASE("travel names split again into what they were made of", "[klp_abi]") {
  const KlpReference in{"nf_nat", "vmlinux", "foo.isra.0", 3};
  CHECK(travel_name(in) == ".klp.ref.nf_nat.vmlinux.foo.isra.0,3");
  const auto out = parse_travel_name(travel_name(in));
  REQUIRE(out);
  CHECK(out->patched_object == in.patched_object);
  CHECK(out->symbol_object == in.symbol_object);
  CHECK(out->symbol == in.symbol);
  CHECK(out->sympos == in.sympos);
}

TEST_CASE("names that are not travel names are not taken for one", "[klp_abi]") {
  for (const char* name :
       {"", "printk", ".klp.ref.", ".klp.ref.vmlinux", ".klp.ref.vmlinux.vmlinux", ".klp.ref.a.b.,0", ".klp.ref.a.b.c",
        ".klp.ref.a.b.c,", ".klp.ref.a.b.c,1x", ".klp.ref.a.b.c,-1", ".klp.ref..b.c,0", ".klp.sym.vmlinux.c,0"}) {
    INFO(name);
    CHECK_FALSE(parse_travel_name(name));
  }
}

TEST_CASE("final symbol names are what the kernel scans", "[klp_abi]") {
  CHECK(klp_symbol_name({"ext4", "jbd2", "f.cold", 0}) == ".klp.sym.jbd2.f.cold,0");
  const auto parsed = parse_klp_symbol_name(".klp.sym.vmlinux.nf_hook.part.0,12");
  REQUIRE(parsed);
  CHECK(parsed->symbol_object == "vmlinux");
  CHECK(parsed->symbol == "nf_hook.part.0");
  CHECK(parsed->sympos == 12);
  CHECK(parsed->patched_object.empty());
}

TEST_CASE("names longer than the kernel's buffers are refused", "[klp_abi]") {
  const std::string object(55, 'm'), symbol(511, 's');
  CHECK(parse_klp_symbol_name(klp_symbol_name({"", object, symbol, 0})));
  CHECK_FALSE(parse_klp_symbol_name(klp_symbol_name({"", object + "m", symbol, 0})));
  CHECK_FALSE(parse_klp_symbol_name(klp_symbol_name({"", object, symbol + "s", 0})));
}

TEST_CASE("relocation section names keep the section's own dot", "[klp_abi]") {
  CHECK(klp_rela_name("vmlinux", ".text.f") == ".klp.rela.vmlinux..text.f");
  CHECK(klp_rela_name("ext4", "__jump_table") == ".klp.rela.ext4.__jump_table");
  CHECK(klp_rela_object(".klp.rela.ext4..text").value() == "ext4");
  CHECK_FALSE(klp_rela_object(".rela.text"));
  CHECK_FALSE(klp_rela_object(".klp.rela.ext4"));
  CHECK_FALSE(klp_rela_object(".klp.rela." + std::string(56, 'm') + ".text"));
}
