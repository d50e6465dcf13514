// The JSON forms of all reports, in one file because nlohmann-json takes long to compile. Keys keep the order of the
// schema.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "report/compare_livepatch.h"
#include "report/compare_report.h"
#include "report/function_report.h"
#include "report/livepatch_report.h"
#include "report/replay_report.h"
#include "report/report.h"

namespace klp::report {
namespace {

using Json = nlohmann::ordered_json;

std::string dumped(const Json& json) {
  // Symbol names and compiler messages may hold any bytes.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json to_json(const ReportFunction& f) {
  return {{"name", f.name},     {"change", f.change},     {"patched", f.patched},
          {"sympos", f.sympos}, {"old_size", f.old_size}, {"new_size", f.new_size},
          {"file", f.file},     {"line", f.line},         {"because", f.because}};
}

Json to_json(const ReportData& d) {
  return {{"name", d.name},       {"change", d.change}, {"carried", d.carried},
          {"section", d.section}, {"size", d.size},     {"because", d.because}};
}

Json to_json(const ReportUnit& u) {
  Json json = {{"unit", u.unit}, {"object", u.object}};
  if (u.identity) {
    json["identity"] = {
        {"matched", u.identity->matched}, {"different", u.identity->different}, {"absent", u.identity->absent}};
  }
  json["functions"] = Json::array();
  for (const ReportFunction& f : u.functions) json["functions"].push_back(to_json(f));
  json["data"] = Json::array();
  for (const ReportData& d : u.data) json["data"].push_back(to_json(d));
  json["klp_relocations"] = u.klp_relocations;
  json["special_entries"] = u.special_entries;
  if (!u.tested_keys.empty()) json["tested_keys"] = u.tested_keys;
  json["deferred_entries"] = u.deferred_entries;
  if (!u.notes.empty()) json["notes"] = u.notes;
  return json;
}

Json to_json(const Finding& f) {
  Json json = {{"severity", to_string(f.severity)},
               {"code", f.code},
               {"object", f.object},
               {"unit", f.unit},
               {"symbol", f.symbol},
               {"message", f.message},
               {"hint", f.hint}};
  if (!f.place.empty()) json["place"] = f.place;
  return json;
}

Json to_json(const elf::KlpSite& s) {
  return {{"section", s.section}, {"offset", s.offset},        {"inside", s.inside}, {"inside_offset", s.inside_offset},
          {"type", s.type},       {"object", s.symbol_object}, {"symbol", s.symbol}, {"sympos", s.sympos},
          {"addend", s.addend}};
}

Json to_json(const elf::CarriedSymbol& c) {
  Json json = {{"name", c.name}, {"section", c.section}, {"size", c.size}};
  if (!c.replaces.empty()) json["replaces"] = c.replaces;
  return json;
}

Json heading(const std::string& version, std::string_view command, std::string_view outcome) {
  return {{"schema", "klp-diff/1"}, {"version", version}, {"command", command}, {"outcome", outcome}};
}

void put_replaced(const elf::LivepatchContent& content, Json& json) {
  json["functions_known"] = content.functions_known;
  json["replaced"] = Json::array();
  for (const elf::ReplacedFunction& f : content.replaced) {
    json["replaced"].push_back({{"object", f.object},
                                {"name", f.name},
                                {"sympos", f.sympos},
                                {"new_function", f.new_function},
                                {"new_size", f.new_size}});
  }
}

void put_callbacks(const elf::LivepatchContent& content, Json& json) {
  json["callbacks"] = Json::array();
  for (const elf::LivepatchCallback& c : content.callbacks)
    json["callbacks"].push_back({{"object", c.object}, {"kind", c.kind}, {"function", c.function}});
  json["states"] = Json::array();
  for (const elf::LivepatchState& s : content.states) json["states"].push_back({{"id", s.id}, {"version", s.version}});
}

void put_klp_sections(const elf::LivepatchContent& content, Json& json) {
  json["klp_relocations"] = content.klp_relocation_count();
  json["klp_sections"] = Json::array();
  for (const elf::KlpSection& section : content.klp_sections) {
    Json sites = Json::array();
    for (const elf::KlpSite& site : section.sites) sites.push_back(to_json(site));
    json["klp_sections"].push_back(
        {{"name", section.name}, {"object", section.object}, {"relocations", std::move(sites)}});
  }
}

void put_imports_and_tables(const elf::LivepatchContent& content, Json& json) {
  json["imports"] = Json::array();
  for (const elf::ImportedSymbol& import : content.imports) {
    Json entry = {{"name", import.name}, {"weak", import.weak}};
    if (import.crc) entry["crc"] = fmt::format("{:#010x}", *import.crc);
    json["imports"].push_back(std::move(entry));
  }
  json["special_tables"] = Json::array();
  for (const elf::SpecialTable& table : content.tables) {
    Json entry = {{"name", table.name}, {"bytes", table.bytes}};
    entry["entries"] = table.entries != 0 ? Json(table.entries) : Json(nullptr);
    json["special_tables"].push_back(std::move(entry));
  }
}

Json to_json(const HeaderReach& reach) {
  Json json = {{"reached", reach.units.size()}};
  for (const char* result : {"names", "tokens", "equal", "changed", "kept", "refused"})
    json[result] = reach.count(result);
  json["units"] = Json::array();
  for (const HeaderReach::Unit& u : reach.units) {
    json["units"].push_back({{"unit", u.unit}, {"header", u.header}, {"result", u.result}});
    if (!u.why.empty()) json["units"].back()["why"] = u.why;
  }
  return json;
}

/// At most so many files, and ranges of each; what is left out is counted.
Json json_of(const std::vector<diff::SourceRanges>& origin) {
  constexpr size_t kMostFiles = 16, kMostRanges = 32;
  Json json = Json::array();
  for (size_t i = 0; i < std::min(origin.size(), kMostFiles); ++i) {
    auto lines = origin[i].lines;
    const size_t more = lines.size() - std::min(lines.size(), kMostRanges);
    lines.resize(lines.size() - more);
    json.push_back({{"file", origin[i].file}, {"lines", lines}, {"instructions", origin[i].instructions}});
    if (more != 0) json.back()["more_lines"] = more;
  }
  if (origin.size() > kMostFiles) json.push_back({{"more_files", origin.size() - kMostFiles}});
  return json;
}

Json json_of(const diff::ChangeOrigin& origin) {
  return {{"after", json_of(origin.after)}, {"before", json_of(origin.before)}};
}

Json json_of(const diff::ImageChange& change, bool function) {
  using Kind = diff::ImageChange::Kind;
  Json json;
  json["name"] = change.name;
  json["change"] = change.kind == Kind::changed ? "changed" : change.kind == Kind::added ? "new" : "removed";
  if (function) {
    json["old_size"] = change.old_size;
    json["new_size"] = change.new_size;
  } else {
    json["size"] = change.new_size != 0 ? change.new_size : change.old_size;
  }
  if (!change.file.empty()) json["file"] = change.file;
  json["because"] = change.reason.empty() ? Json::array() : Json::array({change.reason});
  const CarriedAs carried = function ? function_carried(change) : variable_carried(change);
  json["livepatch"] = {{"carried", name_of(carried.how)}};
  if (!carried.why.empty()) json["livepatch"]["why"] = carried.why;
  return json;
}

Json json_of(const std::vector<diff::Fact>& facts) {
  Json json = Json::array();
  const char* kinds[] = {"changed", "new", "removed"};
  for (const diff::Fact& f : facts) {
    json.push_back({{"name", f.name}, {"change", kinds[static_cast<size_t>(f.kind)]}});
    if (!f.detail.empty()) json.back()["because"] = {f.detail};
  }
  return json;
}

Json json_of(const ComparedBinary& binary) {
  Json json;
  json["unit"] = binary.name;
  json["object"] = binary.name.ends_with(".ko") ? binary.name.substr(0, binary.name.size() - 3) : binary.name;
  if (binary.only_before || binary.only_after) {
    json["only"] = binary.only_before ? "before" : "after";
    return json;
  }
  if (!binary.renamed_from.empty()) json["renamed_from"] = binary.renamed_from;
  json["functions"] = Json::array();
  for (size_t i = 0; i < binary.difference.functions.size(); ++i) {
    json["functions"].push_back(json_of(binary.difference.functions[i], true));
    if (i < binary.details.size()) json["functions"].back()["why"] = json_of(binary.details[i].origin);
  }
  if (binary.without_lines) json["source_lines"] = false;
  json["data"] = Json::array();
  for (const auto& change : binary.difference.variables) json["data"].push_back(json_of(change, false));
  json["compared"] = {{"functions", binary.difference.compared}, {"data", binary.difference.compared_variables}};
  json["noise"] = Json::object();
  for (const auto& [name, count] : binary.difference.noise) json["noise"][name] = count;
  json["exports"] = json_of(binary.exports);
  if (!binary.difference.not_compared.empty()) json["not_compared"] = binary.difference.not_compared;
  return json;
}

Json json_of(const diff::CodeLine& line) {
  Json json = {{"offset", line.offset}, {"text", line.text}};
  if (!line.file.empty()) {
    json["file"] = line.file;
    json["line"] = line.line;
  }
  return json;
}

Json json_of(const diff::CodePart& part) {
  using Kind = diff::CodeRow::Kind;
  static constexpr const char* kNames[] = {"equal", "noise", "changed", "removed", "added", "skipped"};
  const char* change = part.old_size == 0    ? "new"
                       : part.new_size == 0  ? "removed"
                       : part.differing != 0 ? "changed"
                                             : "same";
  Json json = {{"name", part.name}, {"change", change}, {"old_size", part.old_size}, {"new_size", part.new_size}};
  if (!part.file.empty()) json["file"] = part.file;
  json["differing"] = part.differing;
  json["code"] = Json::array();
  for (const diff::CodeRow& row : part.rows) {
    Json entry = {{"kind", kNames[static_cast<size_t>(row.kind)]}};
    if (row.kind == Kind::skipped) entry["count"] = row.skipped;
    if (row.kind != Kind::skipped && row.kind != Kind::added) entry["before"] = json_of(row.before);
    if (row.kind != Kind::skipped && row.kind != Kind::removed) entry["after"] = json_of(row.after);
    json["code"].push_back(std::move(entry));
  }
  return json;
}

}  // namespace

std::string report_json(const Report& report) {
  Json json = heading(report.version, report.command, to_string(report.outcome));
  if (!report.message.empty()) json["message"] = report.message;
  if (!report.hint.empty()) json["hint"] = report.hint;
  if (const auto& k = report.kernel) {
    json["kernel"] = {{"release", k->release}, {"arch", k->arch}, {"build_id", k->build_id}};
    if (!k->name.empty()) json["kernel"]["name"] = k->name;
  }
  const auto module = [](const ReportModule& m) {
    return Json{{"name", m.name}, {"file", m.file}, {"size", m.size}, {"sha256", m.sha256}};
  };
  if (report.module) json["module"] = module(*report.module);
  for (const ReportModule& m : report.further_modules) json["further_modules"].push_back(module(m));
  json["units"] = Json::array();
  for (const ReportUnit& unit : report.units) json["units"].push_back(to_json(unit));
  if (!report.header_reach.units.empty()) json["header_reach"] = to_json(report.header_reach);
  json["findings"] = Json::array();
  for (const Finding& finding : report.findings) json["findings"].push_back(to_json(finding));
  json["timing_ms"] = Json::object();
  for (const auto& [phase, ms] : report.timing_ms) json["timing_ms"][phase] = ms;
  json["timing_ms"]["total"] = total_ms(report);
  return dumped(json);
}

std::string livepatch_json(const elf::LivepatchContent& content, const std::string& version) {
  Json json = heading(version, "inspect", "ok");
  json["module"] = {{"name", content.name},
                    {"file", content.file},
                    {"size", content.file_size},
                    {"vermagic", content.vermagic},
                    {"made_by", to_string(content.maker)}};
  json["modinfo"] = Json::array();
  for (const auto& [key, value] : content.modinfo) json["modinfo"].push_back({key, value});
  json["faults"] = content.faults;
  put_replaced(content, json);
  put_callbacks(content, json);
  json["functions"] = Json::array();
  for (const elf::CarriedSymbol& f : content.functions) json["functions"].push_back(to_json(f));
  json["data"] = Json::array();
  for (const elf::CarriedSymbol& d : content.data) {
    json["data"].push_back(to_json(d));
    json["data"].back()["read_only"] = d.read_only;
  }
  put_klp_sections(content, json);
  put_imports_and_tables(content, json);
  json["late_entries"] = Json::array();
  for (const elf::LateEntry& e : content.late_entries) {
    json["late_entries"].push_back({{"object", e.object},
                                    {"function", e.function},
                                    {"offset", e.offset},
                                    {"table", e.table},
                                    {"key", e.key},
                                    {"treatment", e.treatment}});
  }
  return dumped(json);
}

std::string replay_json(const ReplayReport& report, const std::string& version) {
  Json json = heading(version, "verify", report.good ? "ok" : "refused");
  json["kernel"] = {{"release", report.release}, {"arch", report.arch}};
  json["module"] = {{"file", report.file}};
  json["events"] = Json::array();
  for (const ReplayEvent& e : report.events) {
    json["events"].push_back({{"what", e.what},
                              {"outcome", e.outcome},
                              {"error", e.error},
                              {"step", e.step},
                              {"reason", e.reason},
                              {"messages", e.messages},
                              {"faults", e.faults}});
  }
  return dumped(json);
}

std::string compare_json(const CompareReport& report) {
  Json json;
  json["schema"] = "klp-diff/1";
  json["version"] = report.version;
  json["command"] = "compare";
  json["outcome"] = is_same(report) ? "same" : "different";
  json["before"] = report.before;
  json["after"] = report.after;
  json["binaries"] = report.binaries.size();
  json["units"] = Json::array();
  for (const ComparedBinary& b : report.binaries) {
    const bool same = !b.only_before && !b.only_after && b.renamed_from.empty() && b.difference.functions.empty() &&
                      b.difference.variables.empty() && b.exports.empty();
    if (!same) json["units"].push_back(json_of(b));
  }
  json["types"] = json_of(report.facts.types);
  json["config"] = json_of(report.facts.config);
  json["compiler"] = json_of(report.facts.compiler);
  json["not_compared"] = report.facts.not_compared;
  json["timing_ms"] = {{"total", report.total_ms}};
  return dumped(json);
}

std::string function_json(const FunctionReport& report) {
  Json json = heading(report.version, "compare", is_same(report) ? "same" : "different");
  json["before"] = report.before;
  json["after"] = report.after;
  Json unit = {{"unit", report.binary}};
  unit["functions"] = Json::array();
  for (const diff::CodePart& part : report.parts) unit["functions"].push_back(json_of(part));
  unit["because"] = report.reasons;
  unit["why"] = json_of(report.origin);
  if (!report.source_diff.empty()) unit["source_diff"] = report.source_diff;
  if (!report.notes.empty()) unit["notes"] = report.notes;
  json["units"] = Json::array({std::move(unit)});
  return dumped(json);
}

/// Small: the page of two kernels has thousands. Kind, name, file, sizes, reason, what a livepatch could do.
Json page_entry(const diff::ImageChange& change, const CarriedAs& carried) {
  const std::string livepatch(name_of(carried.how));
  return {static_cast<int>(change.kind),
          change.name,
          change.file,
          change.old_size,
          change.new_size,
          change.reason,
          carried.why.empty() ? livepatch : livepatch + ": " + carried.why};
}

/// And the origin of the change, and the place in the binary's code or -1.
Json page_functions(const ComparedBinary& binary, const std::vector<long>& places) {
  constexpr size_t kMostFiles = 3, kMostRanges = 4;
  Json json = Json::array();
  for (size_t i = 0; i < binary.difference.functions.size(); ++i) {
    const diff::ImageChange& change = binary.difference.functions[i];
    Json function = page_entry(change, function_carried(change));
    std::string from;
    if (i < binary.details.size()) {
      const diff::ChangeOrigin& origin = binary.details[i].origin;
      from = origin_text(origin.after.empty() ? origin.before : origin.after, kMostFiles, kMostRanges);
    }
    function.push_back(from);
    function.push_back(i < places.size() ? places[i] : -1);
    json.push_back(std::move(function));
  }
  return json;
}

Json page_facts(const std::vector<diff::Fact>& facts) {
  Json json = Json::array();
  for (const diff::Fact& f : facts) json.push_back({static_cast<int>(f.kind), f.name, f.detail});
  return json;
}

std::string page_index_json(const CompareReport& report, const std::vector<std::vector<long>>& places,
                            size_t left_out) {
  Json json = {{"version", report.version}, {"before", report.before}, {"after", report.after}};
  json["compared"] = report.binaries.size();
  json["binaries"] = Json::array();
  std::map<std::string, uint64_t> noise;
  std::vector<std::string> not_compared = report.facts.not_compared;
  for (size_t n = 0; n < report.binaries.size(); ++n) {
    const ComparedBinary& b = report.binaries[n];
    for (const auto& [name, count] : b.difference.noise) noise[name] += count;
    for (const std::string& text : b.difference.not_compared) not_compared.push_back(b.name + ": " + text);
    const std::string renamed = b.renamed_from.empty() ? "" : fmt::format(" (was {})", b.renamed_from);
    Json entry = {{"name", b.name + renamed},
                  {"place", n},
                  {"only", b.only_before  ? "before"
                           : b.only_after ? "after"
                                          : ""}};
    entry["of"] = {b.difference.compared, b.difference.compared_variables};
    entry["lines"] = !b.without_lines;
    entry["functions"] = page_functions(b, n < places.size() ? places[n] : std::vector<long>());
    entry["data"] = Json::array();
    for (const diff::ImageChange& c : b.difference.variables)
      entry["data"].push_back(page_entry(c, variable_carried(c)));
    entry["exports"] = page_facts(b.exports);
    if (b.only_before || b.only_after || !b.renamed_from.empty() || !entry["functions"].empty() ||
        !entry["data"].empty() || !b.exports.empty())
      json["binaries"].push_back(std::move(entry));
  }
  json["facts"] = {{"types", page_facts(report.facts.types)},
                   {"configuration", page_facts(report.facts.config)},
                   {"compiler", page_facts(report.facts.compiler)}};
  json["noise"] = noise;
  json["not_compared"] = not_compared;
  if (left_out != 0) json["left_out"] = left_out;
  return json.dump(-1, ' ', true, Json::error_handler_t::replace);
}

}  // namespace klp::report
