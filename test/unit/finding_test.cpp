#include "support/finding.h"

#include <catch2/catch.hpp>

using namespace klp;

namespace {

Finding make(Severity severity, const std::string& code, const std::string& symbol = "") {
  Finding finding;
  finding.severity = severity;
  finding.code = code;
  finding.symbol = symbol;
  finding.message = "why";
  return finding;
}

std::vector<std::string> codes(const Findings& findings) {
  std::vector<std::string> result;
  for (const Finding& finding : findings.sorted()) result.push_back(finding.code);
  return result;
}

}  // namespace

TEST_CASE("the true cause comes first, the order of addition decides among equals", "[finding]") {
  Findings findings;
  for (const char* code : {"init-code", "does-not-compile", "changed-data", "unsupported-section", "changed-prototype", "not-traceable",
                           "missing-symbol", "changed-layout"}) {
    findings.add(make(Severity::refusal, code));
  }
  findings.add(make(Severity::note, "inert"));
  findings.add(make(Severity::warning, "changed-layout"));
  CHECK(codes(findings) == std::vector<std::string>{"changed-layout", "not-traceable", "missing-symbol",
                                                    "changed-prototype", "changed-data", "init-code",
                                                    "does-not-compile", "unsupported-section", "changed-layout", "inert"});
}

TEST_CASE("only refusals refuse", "[finding]") {
  Findings findings;
  CHECK_FALSE(findings.has_refusal());
  findings.add(make(Severity::warning, "stall-risk"));
  CHECK_FALSE(findings.has_refusal());
  Findings more;
  more.add(make(Severity::refusal, "asm-source"));
  findings.add(more);
  CHECK(findings.has_refusal());
  CHECK(findings.list().size() == 2);
}

TEST_CASE("accepting turns refusals into warnings that say so", "[finding]") {
  Findings findings;
  findings.add(make(Severity::refusal, "changed-data", "a"));
  findings.add(make(Severity::refusal, "changed-data", "b"));
  SECTION("one symbol") {
    CHECK(findings.accept({"changed-data:b"}).empty());
    CHECK(findings.list()[0].severity == Severity::refusal);
    CHECK(findings.list()[1].severity == Severity::warning);
    CHECK_THAT(findings.list()[1].message, Catch::Contains("accepted"));
    CHECK(findings.has_refusal());
  }
  SECTION("all of a code") {
    CHECK(findings.accept({"changed-data"}).empty());
    CHECK_FALSE(findings.has_refusal());
  }
  SECTION("how to accept is not told any more") {
    Finding finding = make(Severity::refusal, "changed-layout", "c");
    finding.hint = "use a shadow variable; --accept changed-layout:c when no old object is met";
    findings.add(finding);
    finding.symbol = "d";
    finding.hint = "when no old object is met, --accept changed-layout:d";
    findings.add(finding);
    CHECK(findings.accept({"changed-layout"}).empty());
    CHECK(findings.list()[2].hint == "use a shadow variable");
    CHECK(findings.list()[3].hint.empty());
  }
  SECTION("nothing that matches") {
    CHECK(findings.accept({"changed-data:c", "init-code"}) == std::vector<std::string>{"changed-data:c", "init-code"});
    CHECK(findings.has_refusal());
  }
}

TEST_CASE("what would crash a machine cannot be accepted", "[finding]") {
  for (const char* code :
       {"not-traceable", "missing-symbol", "identity-mismatch", "unsupported-section", "build-rules", "asm-source"}) {
    INFO(code);
    CHECK_FALSE(is_acceptable_code(code));
    Findings findings;
    findings.add(make(Severity::refusal, code));
    CHECK(findings.accept({code}).size() == 1);
    CHECK(findings.has_refusal());
  }
  for (const char* code : {"init-code", "exit-code", "changed-data", "changed-layout", "changed-prototype"})
    CHECK(is_acceptable_code(code));
}

TEST_CASE("words of the severities", "[finding]") {
  CHECK(to_string(Severity::refusal) == "refusal");
  CHECK(to_string(Severity::warning) == "warning");
  CHECK(to_string(Severity::note) == "note");
}
