// What link_module() refuses before it runs anything. Real links are tested against real kernels.
#include <catch2/catch.hpp>

#include "kernel/module_link.h"
#include "support/error.h"
#include "support/files.h"

using namespace klp;
using namespace klp::kernel;

namespace {

std::string refusal_of(const ModuleLink& link) {
  try {
    link_module(Kernel(), link);
  } catch (const Error& error) {
    return error.what();
  }
  return "none";
}

}  // namespace

TEST_CASE("a link that cannot be is refused by name", "[module_link]") {
  const TempDir work(fs::temp_directory_path(), "module-link-test");
  ModuleLink link;
  link.name = "klp_fix";
  link.objects = {work.path() / "a.o"};
  link.directory = work.path();
  SECTION("names that the kernel does not take") {
    for (const char* name : {"", "klp-fix", "Fix", "klp.fix", "klp fix"}) {
      link.name = name;
      CHECK(refusal_of(link).find("cannot be a module's name") != std::string::npos);
    }
    link.name = std::string(56, 'a');
    CHECK(refusal_of(link).find("cannot be a module's name") != std::string::npos);
  }
  SECTION("no object") {
    link.objects.clear();
    CHECK(refusal_of(link).find("no patch object") != std::string::npos);
  }
  SECTION("entries of .modinfo that would break it") {
    link.modinfo = {{"note", "two\nlines"}};
    CHECK(refusal_of(link).find(".modinfo") != std::string::npos);
    link.modinfo = {{"a=b", "c"}};
    CHECK(refusal_of(link).find(".modinfo") != std::string::npos);
  }
  SECTION("a directory that make cannot name") {
    link.directory = work.path() / "two words";
    CHECK(refusal_of(link).find("make cannot work") != std::string::npos);
  }
}
