#include "compare_facts.h"

#include <fmt/format.h>

#include "diff/build_facts.h"
#include "elf/types.h"
#include "kernel/config.h"
#include "support/error.h"

namespace klp::tools {
namespace {

/// In order of the options.
std::vector<diff::Fact> compare_configs(const fs::path& before, const fs::path& after) {
  const auto a = kernel::KernelConfig::read(before), b = kernel::KernelConfig::read(after);
  std::vector<diff::Fact> result;
  for (const auto& [name, value] : a.values()) {
    const auto other = b.values().find(name);
    const std::string option = "CONFIG_" + name;
    if (other == b.values().end())
      result.push_back({diff::Fact::Kind::removed, option, "was " + value});
    else if (other->second != value)
      result.push_back({diff::Fact::Kind::changed, option, fmt::format("{} instead of {}", other->second, value)});
  }
  for (const auto& [name, value] : b.values()) {
    if (!a.is_set(name)) result.push_back({diff::Fact::Kind::added, "CONFIG_" + name, value});
  }
  return result;
}

void add_types(const fs::path& before, const fs::path& after, report::CompareFacts& facts) {
  const auto read = [](const fs::path& path) {
    const elf::ElfObject headers = elf::ElfObject::read(path, elf::ElfObject::Want::symbols_only);
    const bool has_dwarf = headers.maybe_section(".debug_info") != nullptr;
    if (path.extension() == ".o" || (path.extension() == ".ko" && has_dwarf))
      return elf::TypeTable::from_dwarf(elf::ElfObject::read(path));
    check(path.extension() != ".ko", "{} has no debug information, and a module's BTF is only part of the kernel's",
          path.filename().string());
    check(headers.maybe_section(".BTF") != nullptr, "{} has no BTF", path.filename().string());
    return elf::TypeTable::from_btf(path);
  };
  try {
    const elf::TypeTable a = read(before), b = read(after);
    if (a.empty() || b.empty())
      facts.not_compared.push_back(fmt::format("types: {} has none", (a.empty() ? before : after).string()));
    else
      facts.types = diff::compare_types(a, b);
  } catch (const Error& e) {
    facts.not_compared.push_back(fmt::format("types: {}", e.what()));
  }
}

fs::path with_types(const ComparedSide& side) {
  const auto found = side.is_single() ? side.binaries().begin() : side.binaries().find("vmlinux");
  return found == side.binaries().end() ? fs::path() : found->second;
}

}  // namespace

report::CompareFacts read_facts(const ComparedSide& before, const ComparedSide& after) {
  report::CompareFacts facts;
  const fs::path a = with_types(before), b = with_types(after);
  if (a.empty() || b.empty())
    facts.not_compared.emplace_back("types: neither vmlinux nor a single object");
  else
    add_types(a, b, facts);
  if (!before.config().empty() && !after.config().empty())
    facts.config = compare_configs(before.config(), after.config());
  else if (!before.is_single())
    facts.not_compared.push_back(fmt::format("configuration: {} has no .config",
                                             before.config().empty() ? "the first build" : "the second build"));
  return facts;
}

void BinaryFacts::add(const elf::ElfObject& before, const elf::ElfObject& after, report::ComparedBinary& binary) {
  binary.exports = diff::compare_exports(before, after);
  const std::string a = diff::compiler_of(before), b = diff::compiler_of(after);
  if (a == b) return;
  const auto known = [](const std::string& text) { return text.empty() ? std::string("unknown") : text; };
  const std::lock_guard lock(mutex_);
  if (compiler_.empty())
    compiler_ = {{diff::Fact::Kind::changed, binary.name, fmt::format("{} instead of {}", known(b), known(a))}};
}

}  // namespace klp::tools
