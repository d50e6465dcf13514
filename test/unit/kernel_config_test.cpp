#include <catch2/catch.hpp>

#include <algorithm>

#include "kernel/config.h"
#include "kernel/kernel.h"
#include "support/error.h"
#include "support/files.h"

namespace klp::kernel {
namespace {

TEST_CASE("a config's symbols are read, comments and unset ones are not", "[config]") {
  const KernelConfig config = KernelConfig::parse(
      "# Linux/x86 6.1.0\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_TEXT=\"a b=c\"\nCONFIG_N=124\nCONFIG_EMPTY=\"\"");
  CHECK(config.values().size() == 4);
  CHECK(config.is_set("A"));
  CHECK_FALSE(config.is_set("B"));
  CHECK(config.value("TEXT") == "a b=c");
  CHECK(config.value("N") == "124");
  CHECK(config.value("EMPTY").empty());
}

TEST_CASE("differences leave out probed symbols and name all others", "[config]") {
  const KernelConfig shipped = KernelConfig::parse(
      "CONFIG_A=y\nCONFIG_B=m\nCONFIG_C=1\nCONFIG_PAHOLE_VERSION=124\nCONFIG_PAHOLE_HAS_SPLIT_BTF=y\n");
  const KernelConfig made = KernelConfig::parse("CONFIG_A=y\nCONFIG_B=y\nCONFIG_D=\"x\"\nCONFIG_BUILD_SALT=\"\"\n");
  CHECK(differences(shipped, made) ==
        std::vector<std::string>{"CONFIG_B: m -> y", "CONFIG_C: 1 -> unset", "CONFIG_D: unset -> \"x\""});
  CHECK(differences(shipped, shipped).empty());
  CHECK_THROWS_WITH(
      check_same_config(shipped, made, "the configs differ"),
      Catch::StartsWith("config-mismatch: the configs differ in 3 symbols:") && Catch::Contains("CONFIG_B: m -> y"));
  CHECK_NOTHROW(check_same_config(shipped, shipped, "the configs differ"));
}

TEST_CASE("DEBUG_INFO_BTF_MODULES is not a probed symbol: it changes struct module", "[config]") {
  CHECK_FALSE(is_probed_symbol("DEBUG_INFO_BTF_MODULES"));
  CHECK_FALSE(is_probed_symbol("GCC_PLUGIN_STACKLEAK"));
  CHECK_FALSE(is_probed_symbol("CC_VERSION_TEXT"));
  CHECK(is_probed_symbol("PAHOLE_HAS_LANG_EXCLUDE"));
  CHECK(is_probed_symbol("MODULE_SIG_KEY"));
}

TEST_CASE("kernels that cannot be livepatched are told apart", "[config]") {
  CHECK_NOTHROW(check_supported(KernelConfig::parse("CONFIG_LIVEPATCH=y\n"), "k"));
  CHECK_THROWS_WITH(check_supported(KernelConfig::parse("CONFIG_A=y\n"), "k"), Catch::Contains("CONFIG_LIVEPATCH"));
  for (const char* symbol : {"RANDSTRUCT", "GCC_PLUGIN_LATENT_ENTROPY", "LD_DEAD_CODE_DATA_ELIMINATION", "LTO_CLANG"}) {
    const KernelConfig config = KernelConfig::parse(fmt::format("CONFIG_LIVEPATCH=y\nCONFIG_{}=y\n", symbol));
    CHECK_THROWS_WITH(check_supported(config, "k"), Catch::Contains(symbol));
  }
}

TEST_CASE("all that speaks against a config is told at once", "[config]") {
  CHECK(unsupported(KernelConfig::parse("CONFIG_LIVEPATCH=y\n")).empty());
  const auto reasons = unsupported(KernelConfig::parse("CONFIG_LTO=y\nCONFIG_RANDSTRUCT=y\n"));
  REQUIRE(reasons.size() == 2);
  CHECK_THAT(reasons[0], Catch::Contains("CONFIG_RANDSTRUCT"));
  CHECK_THAT(reasons[1], Catch::Contains("CONFIG_LTO"));
}

TEST_CASE("a kernel that loads no livepatch can be compared", "[config]") {
  const KernelConfig config = KernelConfig::parse("CONFIG_A=y\n");
  CHECK_THAT(without_livepatches(config), Catch::Contains("does not set CONFIG_LIVEPATCH"));
  CHECK(without_livepatches(KernelConfig::parse("CONFIG_LIVEPATCH=y\n")).empty());
  CHECK_NOTHROW(check_supported(config, "k", true));
  CHECK_THROWS_WITH(check_supported(KernelConfig::parse("CONFIG_LTO=y\n"), "k", true), Catch::Contains("CONFIG_LTO"));
}

TEST_CASE("a cross compiler is the native one of its version, before updates of the distribution", "[config]") {
  const std::string native = "gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0", before = "gcc-12 (Debian 12.2.0-14) 12.2.0",
                    cross = "powerpc64le-linux-gnu-gcc-12 (Debian 12.2.0-14) 12.2.0";
  for (const std::string& other : {native, before, cross}) {
    CHECK(is_same_compiler(cross, other));
    CHECK(is_same_compiler(other, cross));
  }
  CHECK_FALSE(is_same_compiler(native, before));
  CHECK_FALSE(is_same_compiler(cross, "powerpc64le-linux-gnu-gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0"));
  for (const char* other : {"gcc-12 (Debian 12.2.0-15+deb12u1) 12.2.0", "gcc-11 (Debian 12.2.0-14) 12.2.0",
                            "gcc-12 (Debian 12.2.0-14) 12.3.0"})
    CHECK_FALSE(is_same_compiler(cross, other));
  const auto config = [](const std::string& text) {
    return KernelConfig::parse("CONFIG_CC_VERSION_TEXT=\"" + text + "\"\n");
  };
  CHECK(differences(config(native), config(cross)).empty());
  CHECK(differences(config(native), config(before)).size() == 1);
}

TEST_CASE("the package version that stack dumps print is the shipped one", "[config]") {
  const TempDir headers(fs::temp_directory_path(), "config-test");
  Kernel kernel;
  kernel.arch = "x86_64";
  kernel.symvers = headers.path() / "Module.symvers";
  const auto has = [&](const char* word) {
    const std::vector<std::string> command = kbuild_command(kernel);
    return std::find(command.begin(), command.end(), word) != command.end();
  };
  CHECK_FALSE(has("DISTRIBUTOR=Debian"));
  fs::create_directories(headers.path() / "include/generated");
  const fs::path header = headers.path() / "include/generated/package.h";
  write_file_atomically(header, "#define LINUX_PACKAGE_ID \" Debian 6.1.192-2\"\n");
  CHECK(has("DISTRIBUTOR=Debian"));
  CHECK(has("DISTRIBUTION_VERSION=6.1.192-2"));
  for (const char* other : {"#define LINUX_PACKAGE_ID \"\"\n", "#define LINUX_PACKAGE_ID \" Deb", ""}) {
    write_file_atomically(header, other);
    CHECK_FALSE(has("DISTRIBUTION_OFFICIAL_BUILD=1"));
  }
}

TEST_CASE("the compiler is taken from the config and held against the installed one", "[config]") {
  const std::string text = "gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0";
  const Compiler compiler = compiler_of(KernelConfig::parse("CONFIG_CC_VERSION_TEXT=\"" + text + "\"\n"));
  CHECK(compiler.program == "gcc-12");
  CHECK(compiler.text == text);
  CHECK_THROWS_AS(compiler_of(KernelConfig::parse("CONFIG_A=y\n")), Error);
  CHECK_THROWS_WITH(check_compiler({"no-such-gcc-99", "no-such-gcc-99 (Debian 9.9-1) 9.9"}),
                    Catch::StartsWith("compiler-mismatch: "));
  try {
    check_compiler({"gcc", "gcc (Debian 1.2.3-4) 1.2.3"});
    FAIL("another version passed");
  } catch (const Error& error) {
    CHECK_THAT(error.what(),
               Catch::StartsWith("compiler-mismatch: the kernel was built by 'gcc (Debian 1.2.3-4) 1.2.3'"));
    CHECK_THAT(error.hint(), Catch::Contains("apt-get install gcc (version 1.2.3-4)"));
  }
}

}  // namespace
}  // namespace klp::kernel
