#include "elf/debug_info.h"

#include <catch2/catch.hpp>

#include <set>
#include <string>

#include "support/files.h"
#include "support/run.h"

using namespace klp;

namespace {

constexpr const char* kSource = R"c(
typedef unsigned long word;
enum kind { first, second };
struct pair { int a, b; };
int number;
const char *volatile pointer;
enum kind enumerator;
static volatile word typed;
extern int declared;
int declared = 3;
int array[2];
int short_array[1];
struct pair structure;
union { int a; char b[8]; } either;
int *user(void) { static int local; static volatile int local_array[2]; local_array[local++ & 1] = 1; typed++; return &array[0]; }
)c";

}  // namespace

TEST_CASE("variables that are single values are known by where they lie") {
  const TempDir directory(fs::temp_directory_path(), "klp-debug-info-test");
  const fs::path source = directory.path() / "unit.c", object_file = directory.path() / "unit.o";
  write_file_atomically(source, kSource);
  const bool own_sections = GENERATE(true, false);
  run_checked({"gcc", "-g", "-O1", "-w", "-fno-pic", "-c", own_sections ? "-fdata-sections" : "-fno-data-sections",
               source.string(), "-o", object_file.string()});
  const elf::ElfObject object = elf::ElfObject::read(object_file);
  const elf::DebugInfo info = elf::read_debug_info(object);
  std::set<std::string> names;
  for (const elf::Symbol& symbol : object.symbols()) {
    if (symbol.type != elf::kSttObject || info.single_values.count({symbol.section, symbol.value}) == 0) continue;
    names.insert(std::string(symbol.name.substr(0, symbol.name.find('.'))));
  }
  CHECK(names == std::set<std::string>{"number", "pointer", "enumerator", "typed", "declared", "local"});
  CHECK(info.static_locals.size() == 2);
}

TEST_CASE("functions are found in the file that they stand in, headers included", "[debug-info]") {
  const TempDir directory(fs::temp_directory_path(), "klp-debug-info-test");
  const fs::path object_file = directory.path() / "unit.o";
  write_file_atomically(directory.path() / "inner.h", "\n\nstatic int inner(int x) { return x + 1; }\n");
  write_file_atomically(
      directory.path() / "unit.c",
      "#include \"inner.h\"\nint twice(int x)\n{ return 2 * inner(x); }\nint last(void) { return 7; }\n");
  const char* version = GENERATE("-gdwarf-2", "-gdwarf-4", "-gdwarf-5");
  RunOptions options;
  options.directory = directory.path();
  run_checked({"gcc", "-g", version, "-O0", "-ffunction-sections", "-c", "unit.c", "-o", object_file.string()},
              options);
  const elf::DebugInfo info = elf::read_debug_info(elf::ElfObject::read(object_file));
  INFO(version);
  REQUIRE(info.functions.size() == 3);
  CHECK(fs::path(info.functions.at("inner").file).filename() == "inner.h");
  CHECK(info.functions.at("inner").line == 3);
  CHECK(fs::path(info.functions.at("twice").file).filename() == "unit.c");
  CHECK(info.functions.at("twice").line == 2);
  CHECK(info.functions.at("last").line == 4);
}

TEST_CASE("inlined calls are known by the function that has the code, with their lines", "[debug-info]") {
  const TempDir directory(fs::temp_directory_path(), "klp-debug-info-test");
  const fs::path object_file = directory.path() / "unit.o";
  write_file_atomically(directory.path() / "unit.c",
                        "int sink(int);\n"
                        "static inline int inner(int x) { return sink(x) + sink(x + 1); }\n"
                        "static inline int outer(int x)\n{\n\treturn inner(x) * 2;\n}\n"
                        "int user(int x)\n{\n\treturn outer(x);\n}\n");
  RunOptions options;
  options.directory = directory.path();
  run_checked({"gcc", "-g", "-O2", "-c", "unit.c", "-o", object_file.string()}, options);
  const elf::DebugInfo info = elf::read_debug_info(elf::ElfObject::read(object_file));
  const auto& calls = info.inlined.at("user");
  REQUIRE(calls.size() == 2);
  CHECK(calls[0].name == "outer");
  CHECK(calls[0].line == 9);
  CHECK(calls[0].into == -1);
  CHECK(calls[1].name == "inner");
  CHECK(calls[1].line == 5);
  CHECK(calls[1].into == 0);
}
