#include "module_objtool.h"

#include <algorithm>
#include <sstream>

#include "elf/klp_abi.h"
#include "elf/object_builder.h"
#include "support/error.h"
#include "support/run.h"

namespace klp::test {
namespace {

/// What objtool made at the link: it does not make it twice (tools/objtool/check.c, orc_gen.c, 6.12).
void remove_made_sections(elf::ObjectBuilder& module) {
  std::vector<const elf::BuilderSection*> gone;
  for (const elf::BuilderSection& section : module.sections()) {
    for (const char* made : {".orc_unwind", ".orc_unwind_ip", ".orc_header", ".static_call_sites", ".retpoline_sites",
                             ".return_sites", ".call_sites", ".ibt_endbr_seal"}) {
      if (section.name == made) gone.push_back(&section);
    }
  }
  module.remove_sections(gone);
}

void join_relocations(elf::ObjectBuilder& module) {
  for (elf::BuilderSection& section : module.sections()) {
    elf::BuilderRelaSection all{".rela" + section.name, 0, {}};
    for (elf::BuilderRelaSection& rela : section.relas)
      all.relocations.insert(all.relocations.end(), rela.relocations.begin(), rela.relocations.end());
    std::stable_sort(all.relocations.begin(), all.relocations.end(),
                     [](const auto& a, const auto& b) { return a.offset < b.offset; });
    section.relas.clear();
    if (!all.relocations.empty()) section.relas.push_back(std::move(all));
  }
  for (elf::BuilderSymbol& symbol : module.symbols()) {
    if (symbol.place == elf::SymbolPlace::livepatch) symbol.place = elf::SymbolPlace::undefined;
  }
}

/// Without the lines on functions that the table of replacements names and that start with no ENDBR: ftrace returns
/// into a replacement (arch/x86/kernel/ftrace_64.S, 6.12), and IBT looks at indirect calls and jumps only. 6.19's
/// objtool leaves such tables out itself (tools/objtool/check.c, __klp_funcs).
std::string without_replacements(const std::string& output) {
  std::istringstream lines(output);
  std::string rest;
  for (std::string line; std::getline(lines, line);) {
    const bool table = line.find(" .klp_diff.funcs+0x") != std::string::npos;
    if (!table || line.find(": data relocation to !ENDBR: ") == std::string::npos) rest += line + '\n';
  }
  return rest;
}

}  // namespace

std::string objtool_flags(const fs::path& work_directory, const std::string& module) {
  const std::string name = "." + module + ".o.cmd", tool = "/objtool/objtool ";
  for (const auto& entry : fs::recursive_directory_iterator(work_directory)) {
    if (entry.path().filename() != name) continue;
    const std::string command = read_file(entry.path());
    const size_t at = command.find(tool);
    if (at == std::string::npos) return {};
    const std::string rest = command.substr(at + tool.size(), command.find('\n', at) - at - tool.size());
    return rest.substr(0, rest.find_last_of(' '));
  }
  fail("{}: no {}", work_directory.string(), name);
}

std::string objtool_complaints(const kernel::Kernel& kernel, const std::string& flags, const fs::path& module,
                               bool joined) {
  const TempDir directory(fs::temp_directory_path(), "objtool");
  const fs::path file = directory.path() / module.filename();
  elf::ObjectBuilder copy = elf::ObjectBuilder::copy_of(elf::ElfObject::read(module));
  remove_made_sections(copy);
  if (joined) join_relocations(copy);
  copy.write(file);
  std::vector<std::string> command = {(kernel.source / "tools/objtool/objtool").string()};
  std::istringstream words(flags + " --no-unreachable --dry-run " + file.string());
  for (std::string word; words >> word;) command.push_back(word);
  const RunResult result = run(command);
  const std::string complaints = without_replacements(result.output);
  return result.status == 0 ? complaints : fmt::format("{}(status {})\n", complaints, result.status);
}

}  // namespace klp::test
