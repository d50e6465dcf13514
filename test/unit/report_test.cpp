#include "report/report.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "report/livepatch_report.h"
#include "report/text_layout.h"

using namespace klp;
using namespace klp::report;
using Catch::Contains;
using std::chrono::microseconds;

namespace {

Report sample() {
  Report report;
  report.command = "build";
  report.version = "0.1.0";
  report.kernel = ReportKernel{"debian:6.1.0-56-cloud-amd64", "6.1.0-56-cloud-amd64", "x86_64", "ab12"};
  report.module = ReportModule{"livepatch_fix", "out/livepatch-fix.ko", 34120, "00ff"};
  ReportUnit unit;
  unit.unit = "fs/proc/meminfo.o";
  unit.object = "vmlinux";
  unit.identity = ReportIdentity{12, 0, 1};
  unit.functions.push_back(
      {"meminfo_proc_show", "changed", true, 0, 1234, 1240, "fs/proc/meminfo.c", 33, {"text differs at +0x1c"}});
  unit.functions.push_back({"show_val_kb",
                            "bundled",
                            false,
                            2,
                            0,
                            40,
                            "fs/proc/meminfo.c",
                            25,
                            {"called by meminfo_proc_show", "inlined there before"}});
  unit.data.push_back({"counter", "new", true, ".bss.counter", 8, {"used by meminfo_proc_show"}});
  unit.data.push_back({"__func__.3", "bundled", true, ".rodata", 9, {"used by meminfo_proc_show"}});
  unit.klp_relocations = 14;
  unit.special_entries = {{"__bug_table", 2}, {".altinstructions", 1}};
  report.units.push_back(unit);
  report.findings.push_back(
      {Severity::note, "line-only", "vmlinux", "fs/proc/meminfo.o", "f", "only a line number differs", ""});
  report.timing_ms = {{"compile", 1200}, {"diff", 35}, {"link", 1700}};
  return report;
}

Report refused() {
  Report report = sample();
  report.outcome = Outcome::refused;
  report.module.reset();
  report.units.clear();
  report.findings = {
      {Severity::refusal, "not-traceable", "vmlinux", "fs/a.o", "f", "f has no ftrace site", "change a caller"},
      {Severity::refusal, "changed-data", "vmlinux", "fs/a.o", "table", "a table in use would change", "", true,
       "fs/a.c:12-14"},
      {Severity::warning, "static-local-reset", "", "", "n", "", ""}};
  return report;
}

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> result;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    result.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return result;
}

}  // namespace

TEST_CASE("several modules of one build: all are named, with what that means") {
  Report report = sample();
  report.further_modules.push_back({"livepatch_fix_xfs", "out/livepatch_fix_xfs.ko", 20000, "11"});
  const std::string text = report_text(report, false);
  CHECK_THAT(text, Catch::StartsWith("ok: livepatch-fix.ko, livepatch_fix_xfs.ko replaces 1 function"));
  CHECK_THAT(text, Catch::Contains("  module  out/livepatch_fix_xfs.ko, 20,000 bytes (loads as livepatch_fix_xfs)\n"));
  CHECK_THAT(text, Catch::Contains("each has its own transition"));
  CHECK_THAT(report_json(report), Catch::Contains("\"further_modules\""));
  CHECK_THAT(report_text(sample(), false), !Catch::Contains("transition"));
  CHECK_THAT(report_json(sample()), !Catch::Contains("further_modules"));
}

TEST_CASE("JSON follows the schema", "[report]") {
  const auto json = nlohmann::json::parse(report_json(sample()));
  CHECK(json["schema"] == "klp-diff/1");
  CHECK(json["outcome"] == "ok");
  CHECK(json["kernel"]["release"] == "6.1.0-56-cloud-amd64");
  CHECK(json["module"]["size"] == 34120);
  const auto& unit = json["units"].at(0);
  CHECK(unit["identity"] == nlohmann::json({{"matched", 12}, {"different", 0}, {"absent", 1}}));
  CHECK(unit["functions"].at(0)["change"] == "changed");
  CHECK(unit["functions"].at(0)["patched"] == true);
  CHECK(unit["functions"].at(1)["sympos"] == 2);
  CHECK(unit["functions"].at(1)["because"].size() == 2);
  CHECK(unit["data"].at(0)["section"] == ".bss.counter");
  CHECK(unit["klp_relocations"] == 14);
  CHECK(unit["special_entries"]["__bug_table"] == 2);
  CHECK(unit["deferred_entries"].is_object());
  CHECK(json["findings"].at(0)["severity"] == "note");
  CHECK(json["findings"].at(0)["code"] == "line-only");
}

TEST_CASE("the phases add up to the total", "[report]") {
  const auto json = nlohmann::json::parse(report_json(sample()));
  long sum = 0;
  for (const auto& [phase, ms] : json["timing_ms"].items()) sum += phase == "total" ? 0 : ms.get<long>();
  CHECK(sum == json["timing_ms"]["total"]);
  CHECK(sum == 2935);
}

TEST_CASE("JSON survives bytes that are no UTF-8, and missing parts", "[report]") {
  Report report;
  report.outcome = Outcome::failed;
  report.message = "bad \xff name";
  const auto json = nlohmann::json::parse(report_json(report));
  CHECK(json["outcome"] == "failed");
  CHECK(json["units"].empty());
  CHECK_FALSE(json.contains("module"));
  CHECK(json["timing_ms"]["total"] == 0);
}

TEST_CASE("text of a livepatch that was made", "[report]") {
  const std::string text = report_text(sample(), false);
  CHECK(lines(text)[0] == "ok: livepatch-fix.ko replaces 1 function, adds 1 variable, copies 1 function");
  CHECK_THAT(text, Contains("out/livepatch-fix.ko, 34,120 bytes"));
  CHECK_THAT(text,
             Contains("identity: 12 of 13 functions, compiled from the unpatched source, equal the shipped vmlinux"));
  CHECK_THAT(text, Contains("show_val_kb (no. 2 of its name)"));
  CHECK_THAT(text, Contains("with 1 constant or private static of these functions"));
  CHECK_THAT(text, Contains("14 references"));
  CHECK_THAT(text, Contains("__bug_table 2"));
  CHECK_THAT(text, Contains("note: line-only"));
  CHECK_THAT(text, Contains("took 2.9"));
  CHECK_THAT(text, !Contains("\x1b"));
}

TEST_CASE("a function takes one line with its reason, and all that is known when asked for", "[report]") {
  const std::string short_text = report_text(sample(), false), long_text = report_text(sample(), false, true);
  CHECK_THAT(short_text, Contains(" text differs at +0x1c\n"));
  for (const char* more :
       {"fs/proc/meminfo.c:33, 1234 -> 1240 bytes", "- inlined there before", ".bss.counter, 8 bytes", "__func__.3"}) {
    CHECK_THAT(short_text, !Contains(more));
    CHECK_THAT(long_text, Contains(more));
  }
}

TEST_CASE("many functions of one reason are one line and their names", "[report]") {
  Report report = sample();
  for (const char* name : {"f", "g", "h", "i"})
    report.units[0].functions.push_back({name, "changed", true, 0, 1, 1, "", 0, {"a.h:3 changes struct s, used here"}});
  const std::string text = report_text(report, false);
  CHECK_THAT(text, Contains("replaced  4 functions                              a.h:3 changes struct s, used here\n"
                            "            f, g, h, i\n"));
  CHECK_THAT(report_text(report, false, true), !Contains("4 functions"));
}

TEST_CASE("the list says replaced and added, as the headline does", "[report]") {
  Report report = sample();
  report.units[0].functions.push_back({"caller", "lifted", true, 0, 1, 1, "", 0, {"calls f, which changed"}});
  report.units[0].functions.push_back({"gone", "removed", false, 0, 1, 0, "", 0, {"no longer there"}});
  std::string text = report_text(report, false);
  CHECK_THAT(text,
             Catch::StartsWith("ok: livepatch-fix.ko replaces 2 functions, adds 1 variable, copies 1 function\n"));
  for (const char* line : {"  replaced  meminfo_proc_show ", "  copied    show_val_kb ", "  unused    gone ",
                           "  added     counter ", " unchanged itself, but calls f, which changed\n"})
    CHECK_THAT(text, Contains(line));
  CHECK_THAT(text, Contains("Line numbers are those of the patched source"));
  report.outcome = Outcome::refused;
  text = report_text(report, false);
  CHECK(text.find("No module is written") < text.find("  replaced  "));
}

TEST_CASE("text of a refusal: reasons first, each with what to do", "[report]") {
  const auto all = lines(report_text(refused(), false));
  CHECK(all[0] == "refused: 2 reasons");
  CHECK(all[2] == "1. not-traceable: f, fs/a.o, vmlinux");
  CHECK(all[3] == "   f has no ftrace site");
  CHECK(all[4] == "   what to do: change a caller");
  CHECK(all[6] == "2. changed-data: table, fs/a.o, vmlinux");
  CHECK(all[8] == "   where: fs/a.c:12-14");
  CHECK(nlohmann::json::parse(report_json(refused()))["findings"].at(1)["place"] == "fs/a.c:12-14");
  const std::string text = report_text(refused(), false);
  CHECK(text.find("changed-data") < text.find("kernel  "));
  CHECK(text.find("kernel  ") < text.find("warning: static-local-reset: n"));
  // Each finding is shown once.
  CHECK(text.find("not-traceable") == text.rfind("not-traceable"));
}

TEST_CASE("text of the other outcomes", "[report]") {
  Report report;
  report.outcome = Outcome::unchanged;
  CHECK_THAT(report_text(report, false), Catch::StartsWith("unchanged: "));
  report.outcome = Outcome::failed;
  report.message = "disk full";
  CHECK(report_text(report, false) == "failed: disk full\n");
}

TEST_CASE("colour adds only escape sequences", "[report]") {
  for (const Report& report : {sample(), refused()}) {
    std::string coloured = report_text(report, true);
    CHECK(coloured != report_text(report, false));
    for (size_t at = coloured.find('\x1b'); at != std::string::npos; at = coloured.find('\x1b')) {
      coloured.erase(at, coloured.find('m', at) + 1 - at);
    }
    CHECK(coloured == report_text(report, false));
  }
}

TEST_CASE("prose is wrapped, source is not", "[report]") {
  Report report = refused();
  std::string words;
  for (int i = 0; i < 60; ++i) words += "word ";
  const std::string source = "  " + std::string(200, 'x');
  report.findings[0].message = words + "\n" + source + "\nend";
  bool found = false;
  for (const std::string& line : lines(report_text(report, false))) {
    if (line == "   " + source)
      found = true;
    else
      CHECK(line.size() <= kTextWidth);
  }
  CHECK(found);
}

TEST_CASE("columns and numbers", "[text_layout]") {
  CHECK(with_thousands(0) == "0");
  CHECK(with_thousands(999) == "999");
  CHECK(with_thousands(1000) == "1,000");
  CHECK(with_thousands(12345678) == "12,345,678");
  CHECK(counted(1, "entry", "entries") == "1 entry");
  CHECK(counted(0, "entry", "entries") == "0 entries");
  CHECK(columns("\x1b[1mä\x1b[0m") == 1);
  CHECK(wrapped("x: ", "") == "x: \n");
}

TEST_CASE("phases follow each other without a gap", "[phase_clock]") {
  const PhaseClock::Clock::time_point t0{};
  PhaseClock clock(t0);
  clock.begin("read", t0 + microseconds(400));
  clock.begin("compile", t0 + microseconds(1400));
  clock.begin("read", t0 + microseconds(2800));
  clock.begin("link", t0 + microseconds(4200));
  const auto phases = clock.finish(t0 + microseconds(5600));
  REQUIRE(phases.size() == 3);
  CHECK(phases[0].first == "read");
  long sum = 0;
  for (const auto& [name, ms] : phases) sum += ms;
  CHECK(sum == 6);
  CHECK(phases[0].second == 3);  // 1.4 + 1.4 ms
  CHECK(PhaseClock(t0).finish(t0).empty());
}

TEST_CASE("the content of a livepatch as text and JSON", "[livepatch_report]") {
  elf::LivepatchContent content;
  content.file = "fix.ko";
  content.name = "fix";
  content.modinfo = {{"livepatch", "Y"}, {"name", "fix"}};
  content.maker = elf::LivepatchMaker::kpatch;
  content.functions_known = true;
  content.replaced.push_back({"vmlinux", "f", 2, "f", 20});
  elf::KlpSection section{".klp.rela.vmlinux..text.f", "vmlinux", {}};
  for (const uint64_t at : {5, 9})
    section.sites.push_back({".text.f", at, "f", at, "R_X86_64_PLT32", "vmlinux", "g", 0, -4});
  content.klp_sections.push_back(section);
  content.imports.push_back({"_printk", false, 0x12u});
  content.tables.push_back({"__bug_table", 24, 2});
  content.tables.push_back({".altinstructions", 25, 0});
  content.faults.push_back("something is wrong");

  const std::string brief = livepatch_text(content, false, false);
  CHECK(lines(brief)[0] == "livepatch fix");
  CHECK_THAT(brief, Contains("made by   kpatch-build"));
  CHECK_THAT(brief, Contains("vmlinux:f,2"));
  CHECK_THAT(brief, Contains("vmlinux:g  x 2"));
  CHECK_THAT(brief, Contains("crc 0x00000012"));
  CHECK_THAT(brief, Contains("entries of unknown size"));
  CHECK_THAT(brief, Contains("something is wrong"));
  const std::string full = livepatch_text(content, false, true);
  CHECK_THAT(full, Contains("f+0x9") && Contains("R_X86_64_PLT32") && Contains("vmlinux:g - 0x4"));

  const auto json = nlohmann::json::parse(livepatch_json(content, "0.1.0"));
  CHECK(json["command"] == "inspect");
  CHECK(json["klp_relocations"] == 2);
  CHECK(json["klp_sections"].at(0)["relocations"].at(1)["inside_offset"] == 9);
  CHECK(json["special_tables"].at(1)["entries"].is_null());
  CHECK(json["modinfo"].at(0) == nlohmann::json::array({"livepatch", "Y"}));
  CHECK(json["imports"].at(0)["crc"] == "0x00000012");

  content.functions_known = false;
  CHECK_THAT(livepatch_text(content, false, false), Contains("replaced functions: not known"));
}
