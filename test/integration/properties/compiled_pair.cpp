#include "compiled_pair.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <sstream>

#include "arch/ppc64/call_nops.h"
#include "support/run.h"

namespace klp::test {
namespace {

// The flags of Linux 6.1 on x86_64 as far as they shape code; no retpolines, so that there are switch tables.
const std::vector<std::string> kKernelFlags = {"-std=gnu11",
                                               "-O2",
                                               "-ffunction-sections",
                                               "-fdata-sections",
                                               "-fno-pic",
                                               "-fno-pie",
                                               "-mcmodel=kernel",
                                               "-mno-red-zone",
                                               "-mno-sse",
                                               "-mno-mmx",
                                               "-pg",
                                               "-mfentry",
                                               "-fno-asynchronous-unwind-tables",
                                               "-fno-strict-aliasing",
                                               "-fno-stack-protector",
                                               "-fno-common",
                                               "-fno-omit-frame-pointer",
                                               "-ffreestanding",
                                               "-fno-delete-null-pointer-checks",
                                               "-w"};

// The same for ppc64le, and what klp-diff adds.
const std::vector<std::string> kPowerFlags = {"-std=gnu11",
                                              "-O2",
                                              "-ffunction-sections",
                                              "-fdata-sections",
                                              "-mlittle-endian",
                                              "-msoft-float",
                                              "-mtraceback=no",
                                              "-mabi=elfv2",
                                              "-mcpu=power8",
                                              "-mno-altivec",
                                              "-mno-vsx",
                                              "-mno-pointers-to-nested-functions",
                                              "-pg",
                                              "-mprofile-kernel",
                                              "-fno-asynchronous-unwind-tables",
                                              "-fno-strict-aliasing",
                                              "-fno-stack-protector",
                                              "-fno-common",
                                              "-ffreestanding",
                                              "-fno-delete-null-pointer-checks",
                                              "-fno-allow-store-data-races",
                                              "-w",
                                              "-mcmodel=large",
                                              "-fno-section-anchors",
                                              "-fno-optimize-sibling-calls"};

std::string program(const std::string& compiler) {
  if (compiler == "ppc64") return "powerpc64le-linux-gnu-gcc-12";
  return compiler == "gcc" ? "gcc-12" : "clang-14";
}

std::vector<std::string> words(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> list;
  for (std::string word; in >> word;) list.push_back(word);
  return list;
}

void expect(Expectations& to, const std::vector<std::string>& all, const std::string& line) {
  check(!all.empty(), "nothing expected: {}", line);
  const std::string& kind = all[0];
  const std::set<std::string> rest(all.begin() + 1, all.end());
  const auto pair = [&] {
    check(all.size() == 3, "a code and a symbol are expected: {}", line);
    return all[1] + " " + all[2];
  };
  if (kind == "unchanged") {
    to.unchanged = true;
  } else if (kind == "refused") {
    to.refused.insert(pair());
  } else if (kind == "note") {
    to.notes.insert(all.size() == 2 ? all[1] + " " : pair());
  } else if (kind == "klp") {
    to.klp.insert(rest.begin(), rest.end());
  } else if (kind == "string") {
    to.strings.insert(rest.begin(), rest.end());
  } else if (kind == "no-klp") {
    to.no_klp.insert(rest.begin(), rest.end());
  } else {
    static const std::set<std::string> kSets = {"changed", "new", "removed", "bundled", "lifted", "data"};
    check(kSets.count(kind) == 1, "unknown expectation: {}", line);
    to.sets[kind].insert(rest.begin(), rest.end());
  }
}

void read_line(PairSource& to, const std::string& line) {
  const size_t colon = line.find(':');
  const std::string key = line.substr(0, colon);
  const std::vector<std::string> values = words(line.substr(colon + 1));
  if (key == "compilers") {
    to.compilers = values;
  } else if (key == "flags") {
    to.flags = values;
  } else if (key == "stable-numbers") {
    to.stable_numbers = true;
  } else if (key == "patched-flags") {
    to.patched_flags = values;
  } else if (key == "shipped-flags") {
    to.shipped_flags = values;
  } else if (key == "object") {
    to.object = values.at(0);
  } else if (key == "kernel-lacks") {
    for (const std::string& name : values) to.exported_by[name] = "";
  } else if (key == "exported-by") {
    for (size_t i = 1; i < values.size(); ++i) to.exported_by[values[i]] = values[0];
  } else {
    if (key == "expect(ppc64)") to.own_expectations_for_ppc64 = true;
    for (const char* compiler : {"gcc", "clang", "ppc64"}) {
      if (key == "or-refused") to.expected[compiler].or_refused.insert(values.at(0) + " " + values.at(1));
      if (key == "expect" || key == fmt::format("expect({})", compiler)) expect(to.expected[compiler], values, line);
    }
  }
}

std::string set_difference_text(const std::string& what, const std::set<std::string>& expected,
                                const std::set<std::string>& found) {
  if (expected == found) return {};
  return fmt::format("{}: expected [{}], found [{}]\n", what, fmt::join(expected, ", "), fmt::join(found, ", "));
}

bool has_text(const diff::PatchObject& plan, std::string_view text) {
  return std::any_of(plan.sections.begin(), plan.sections.end(), [&](const diff::PlanSection& section) {
    const std::string_view bytes(reinterpret_cast<const char*>(section.data.data()), section.data.size());
    return bytes.find(text) != std::string_view::npos;
  });
}

/// Functions that are gone and notes alone need no module.
bool must_change(const Expectations& expected) {
  if (!expected.refused.empty()) return true;
  return std::any_of(expected.sets.begin(), expected.sets.end(),
                     [](const auto& set) { return set.first != "removed" && !set.second.empty(); });
}

}  // namespace

PairSource read_pair_source(const fs::path& file) {
  PairSource source;
  source.file = file;
  source.compilers = {"gcc", "clang", "ppc64"};
  std::istringstream text(read_file(file));
  for (std::string line; std::getline(text, line);) {
    for (const char* key : {"compilers:", "flags:", "patched-flags:", "shipped-flags:", "object:", "kernel-lacks:",
                            "exported-by:", "expect:", "expect(", "or-refused:", "stable-numbers:"}) {
      if (line.starts_with(std::string("// ") + key)) read_line(source, line.substr(3));
    }
  }
  // It is gcc, too.
  if (!source.own_expectations_for_ppc64) source.expected["ppc64"] = source.expected["gcc"];
  for (const std::string& compiler : source.compilers)
    check(source.expected.count(compiler) == 1, "{}: expects nothing for {}", file.string(), compiler);
  return source;
}

std::vector<PairSource> all_pair_sources(const fs::path& directory) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.path().extension() == ".c") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  std::vector<PairSource> sources;
  for (const fs::path& file : files) sources.push_back(read_pair_source(file));
  return sources;
}

bool has_compiler(const std::string& compiler) {
  return find_program(program(compiler)).has_value();
}

namespace {

std::vector<std::string> compiler_command(const std::string& compiler) {
  std::vector<std::string> command = {program(compiler)};
  const auto& flags = compiler == "ppc64" ? kPowerFlags : kKernelFlags;
  command.insert(command.end(), flags.begin(), flags.end());
  if (compiler == "gcc") command.insert(command.end(), {"-mrecord-mcount", "-fno-allow-store-data-races"});
  // A section that names symbols by index cannot be copied.
  if (compiler == "clang") command.emplace_back("-fno-addrsig");
  return command;
}

elf::ElfObject compile(const PairSource& source, const std::string& compiler, const fs::path& object,
                       const std::vector<std::string>& more, bool nops = true) {
  std::vector<std::string> command = compiler_command(compiler);
  command.insert(command.end(), source.flags.begin(), source.flags.end());
  command.insert(command.end(), more.begin(), more.end());
  RunOptions options;
  options.directory = source.file.parent_path();
  if (compiler != "ppc64") {
    command.insert(command.end(), {"-c", "-o", object.string(), source.file.filename().string()});
    run_checked(command, options);
    return elf::ElfObject::read(object);
  }
  const std::string assembly = object.string() + ".s";
  command.insert(command.end(), {"-S", "-o", assembly, source.file.filename().string()});
  run_checked(command, options);
  if (nops) write_file_atomically(assembly, arch::with_call_nops(read_file(assembly)));
  run_checked({program(compiler), "-c", "-o", object.string(), assembly});
  return elf::ElfObject::read(object);
}

}  // namespace

CompiledPair compile_pair(const PairSource& source, const std::string& compiler, const fs::path& work, bool debug) {
  std::vector<std::string> flags;
  if (debug) flags.emplace_back("-g");
  elf::ElfObject original = compile(source, compiler, work / "original.o", flags);
  flags.insert(flags.end(), source.patched_flags.begin(), source.patched_flags.end());
  flags.emplace_back("-DPATCHED");
  return {std::move(original), compile(source, compiler, work / "patched.o", flags)};
}

elf::ElfObject compile_without_nops(const PairSource& source, const fs::path& work) {
  return compile(source, "ppc64", work / "without_nops.o", {"-g"}, false);
}

elf::ElfObject compile_shipped(const PairSource& source, const std::string& compiler, const fs::path& work) {
  return compile(source, compiler, work / "shipped.o", source.shipped_flags);
}

std::string mismatches(const Expectations& expected, const diff::UnitResult& result) {
  std::string text;
  const std::set<std::string> refusals = refusals_of(result);
  if (refusals.size() == 1 && expected.or_refused.count(*refusals.begin()) != 0) return {};
  if (expected.unchanged) {
    if (result.changed || !result.functions.empty() || !result.data.empty()) text += "expected no change\n";
  } else if (result.changed != must_change(expected)) {
    text += result.changed ? "expected no changed code\n" : "expected a change\n";
  }
  for (const char* kind : {"changed", "new", "removed", "bundled", "lifted"}) {
    const auto found = expected.sets.find(kind);
    if (found == expected.sets.end() && result.findings.has_refusal()) continue;
    text += set_difference_text(kind, found == expected.sets.end() ? std::set<std::string>() : found->second,
                                functions_of(result, kind));
  }
  if (const auto data = expected.sets.find("data"); data != expected.sets.end())
    text += set_difference_text("data", data->second, data_of(result));
  text += set_difference_text("refused", expected.refused, refusals_of(result));
  std::set<std::string> findings;
  for (const Finding& f : result.findings.list()) findings.insert(f.code + " " + plain_data_name(f.symbol));
  for (const std::string& note : expected.notes) {
    if (findings.count(note) == 0) text += fmt::format("no finding {}\n", note);
  }
  for (const std::string& string : expected.strings) {
    if (!has_text(result.plan, string)) text += fmt::format("no text {}\n", string);
  }
  const std::set<std::string> klp = klp_names(result);
  for (const std::string& name : expected.klp) {
    if (klp.count(name) == 0) text += fmt::format("no klp relocation to {}\n", name);
  }
  for (const std::string& name : expected.no_klp) {
    if (klp.count(name) != 0) text += fmt::format("a klp relocation to {}\n", name);
  }
  return text;
}

}  // namespace klp::test
