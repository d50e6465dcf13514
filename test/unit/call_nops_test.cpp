#include "arch/ppc64/call_nops.h"

#include <catch2/catch.hpp>

namespace klp::arch {
namespace {

const std::string kIdent = "\t.ident\t\"GCC: (Debian 12.2.0-14) 12.2.0\"\n";

std::string changed(const std::string& text) {
  const std::string result = with_call_nops(text + kIdent);
  REQUIRE(result.ends_with(kIdent));
  return result.substr(0, result.size() - kIdent.size());
}

}  // namespace

TEST_CASE("a call without a NOP gets one, a call with one keeps it") {
  CHECK(changed("\tbl h\n\tmr 9,3\n") == "\tbl h\n\tnop\n\tmr 9,3\n");
  CHECK(changed("\tbl g\n\tnop\n\tmr 9,3\n") == "\tbl g\n\tnop\n\tmr 9,3\n");
  CHECK(changed("\tbl h\n\tbl h.isra.0\n\tnop\n") == "\tbl h\n\tnop\n\tbl h.isra.0\n\tnop\n");
}

TEST_CASE("the NOP stands in front of the label that the call returns to") {
  CHECK(changed("\tbl h\n.LVL3:\n\tblr\n") == "\tbl h\n\tnop\n.LVL3:\n\tblr\n");
}

TEST_CASE("what is no call of a function by the compiler stays as it is") {
  for (const char* text : {"\tbl _mcount\n\tmr 9,3\n", "\tbcl 20,31,.L3\n.L3:\n", "\tbl .L3\n.L3:\n", "\tbl 1f\n1:\n",
                           "\tbctrl\n\tld 2,24(1)\n", "\tblr\n", "\tb h\n", "\tblt 0,.L4\n", "\tbl h@notoc\n\tblr\n",
                           "\tbl $+8\n\tblr\n", "\t.string \"bl h\"\n"})
    CHECK(changed(text) == text);
}

TEST_CASE("inline assembly stays as it is") {
  CHECK(changed("#APP\n # 2 \"t.c\" 1\n\tbl foo\n\tmr 3,3\n # 0 \"\" 2\n#NO_APP\n\tbl h\n") ==
        "#APP\n # 2 \"t.c\" 1\n\tbl foo\n\tmr 3,3\n # 0 \"\" 2\n#NO_APP\n\tbl h\n\tnop\n");
  CHECK(changed("\tbl h\n#APP\n\tmr 3,3\n#NO_APP\n") == "\tbl h\n\tnop\n#APP\n\tmr 3,3\n#NO_APP\n");
}

TEST_CASE("assembly that gcc did not write stays as it is") {
  const std::string by_hand = "# GCC: \n\tbl h\n\tblr\n";
  CHECK(with_call_nops(by_hand) == by_hand);
  CHECK(with_call_nops("") == "");
}

TEST_CASE("a last line needs no end") {
  CHECK(with_call_nops(kIdent + "\tbl h") == kIdent + "\tbl h\n\tnop\n");
}

}  // namespace klp::arch
