// What reports of a comparison say about code: the origin of changes, and the page's code.
#include <catch2/catch.hpp>

#include "report/compare_report.h"
#include "report/function_report.h"
#include "report/page_code.h"

namespace klp::test {
namespace {

using diff::CodePart;
using diff::CodeRow;
using Kind = CodeRow::Kind;

CodePart part() {
  CodePart result{"walk", "a.c", 10, 12, 3, 0, {}};
  result.rows.push_back({Kind::skipped, {}, {}, 7});
  result.rows.push_back({Kind::equal, {16, "je +0x20", "dir/a.c", 3}, {16, "je +0x24", "dir/a.c", 4}, 0});
  result.rows.push_back({Kind::equal, {18, "retq", "dir/a.c", 3}, {18, "retq", "dir/a.c", 4}, 0});
  result.rows.push_back({Kind::changed, {20, "mov 1", "dir/a.c", 3}, {20, "mov 2", "dir/a.c", 4}, 0});
  result.rows.push_back({Kind::removed, {24, "nop", "dir/a.c", 5}, {}, 0});
  result.rows.push_back({Kind::added, {}, {24, "call x", "inc/b.h", 9}, 0});
  return result;
}

}  // namespace

TEST_CASE("the page's code has a line for each row and place", "[compare]") {
  CHECK(report::page_code({part()}) ==
        "p\twalk\t10\t12\n"
        "g\t7\n"
        "s\ta.c:3\ta.c:4\n"
        "e\t10\t10\tje +0x20\tje +0x24\n"
        "e\t12\t12\tretq\n"
        "c\t14\t14\tmov 1\tmov 2\n"
        "s\ta.c:5\t\n"
        "r\t18\tnop\n"
        "s\t\tb.h:9\n"
        "a\t18\tcall x\n");
}

TEST_CASE("the page's code has the lines' text where it is known", "[compare]") {
  const std::string code = report::page_code({part()}, {}, {{{"dir/a.c", 4}, "return\tx;"}, {{"inc/b.h", 8}, "no"}});
  CHECK(code.find("s\ta.c:3\ta.c:4  return.x;\n") != std::string::npos);
  CHECK(code.find("s\t\tb.h:9\n") != std::string::npos);
}

TEST_CASE("names cannot break the page's code into other fields", "[compare]") {
  CodePart odd{"a\tb\nc\f", "", 1, 0, 0, 0, {}};
  odd.rows.push_back({Kind::removed, {0, "x\ty\n", "", 0}, {}, 0});
  CHECK(report::page_code({odd}) == "p\ta.b.c.\t1\t0\nr\t0\tx.y.\n");
}

TEST_CASE("a long function's rows are cut on the page, and counted", "[compare]") {
  CodePart large{"f", "", 1, 1, 0, 3, {}};
  large.rows.resize(1000, {Kind::equal, {0, "x", "", 0}, {0, "x", "", 0}, 0});
  large.rows.push_back({Kind::skipped, {}, {}, 50});
  const std::string code = report::page_code({large});
  CHECK(code.substr(code.rfind("\nx")) == "\nx\t653\n");
  CHECK(std::count(code.begin(), code.end(), '\n') == 402);
}

TEST_CASE("the origin of a change is its rows' lines, as ranges", "[compare]") {
  CodePart more = part();
  more.rows.push_back({Kind::added, {}, {28, "call y", "inc/b.h", 10}, 0});
  more.rows.push_back({Kind::added, {}, {30, "call z", "inc/b.h", 14}, 0});
  const auto origin = diff::origin_of({more});
  REQUIRE(origin.after.size() == 2);
  CHECK(report::origin_text(origin.after, 8, 8) == "inc/b.h:9-10,14 dir/a.c:4");
  CHECK(report::origin_text(origin.after, 1, 1) == "inc/b.h:9-10 (and 1 more) and 1 more file");
  CHECK(report::origin_text(origin.before, 8, 8) == "dir/a.c:5");
  CHECK(report::origin_text({}, 8, 8).empty());
}

TEST_CASE("no name ends the element that it stands in", "[compare]") {
  report::CompareReport report{"1", "</script>", "b", {}, 0};
  report.binaries = {{"x.o", false, false, {}, {}}};
  diff::ImageChange change;
  change.name = "</script><b>\xff";
  report.binaries[0].difference.functions.push_back(change);
  const std::string page = report::compare_html(report);
  CHECK(page.find("</script><b>") == std::string::npos);
  CHECK(page.find("\"before\":\"\\u003c/script>\"") != std::string::npos);
}

}  // namespace klp::test
