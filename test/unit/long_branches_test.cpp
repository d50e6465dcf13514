#include "arch/x86_64/long_branches.h"

#include <catch2/catch.hpp>

namespace klp::arch {
namespace {

const std::string kEntry =
    "\t.pushsection __jump_table,  \"aw\" \n\t .balign 8 \n\t.long 1b - . \n\t.long .L5 - . \n\t.popsection \n";

}  // namespace

TEST_CASE("the jump of a static branch gets its long form") {
  CHECK(with_long_branches("#APP\n\t1:jmp .L5 # objtool NOPs this \n" + kEntry + "#NO_APP\n") ==
        "#APP\n\t1:{disp32} jmp .L5 # objtool NOPs this \n" + kEntry + "#NO_APP\n");
  CHECK(with_long_branches("1: jmp\t.L5\n" + kEntry) == "1: {disp32} jmp\t.L5\n" + kEntry);
}

TEST_CASE("every one of several static branches gets it") {
  const std::string site = "\t1:jmp .L5\n" + kEntry, longer = "\t1:{disp32} jmp .L5\n" + kEntry;
  CHECK(with_long_branches(site + "\tjmp .L7\n" + site) == longer + "\tjmp .L7\n" + longer);
}

TEST_CASE("other jumps and other sites stay as they are") {
  for (const std::string& text :
       {"\tjmp .L5\n" + kEntry, "\t1:.byte 0x0f,0x1f,0x44,0x00,0\n" + kEntry, "\t1:jmp .L5\n\tret\n" + kEntry,
        "\t1:jmpq *%rax\n" + kEntry, std::string("\t1:jmp .L5\n\t.pushsection .altinstructions\n"), kEntry,
        "\n" + kEntry, std::string("1:jmp .L5 .pushsection __jump_table"), std::string()})
    CHECK(with_long_branches(text) == text);
}

}  // namespace klp::arch
