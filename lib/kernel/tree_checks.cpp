// Do two build trees belong together, and to the kernel? Release and configuration tell before any object is read; the
// proof is the identity of each patched unit's original with the shipped binary, later.
#include <algorithm>
#include <optional>

#include "kernel/config.h"
#include "kernel/tree_pairs.h"

namespace klp::kernel {
namespace {

struct TreeFacts {
  std::string release;  ///< empty: the tree does not say
  std::optional<KernelConfig> config;
};

TreeFacts facts_of(const fs::path& root) {
  TreeFacts facts;
  std::error_code error;
  const fs::path release = root / "include/config/kernel.release", config = root / ".config";
  if (fs::is_regular_file(release, error)) {
    facts.release = read_file(release);
    facts.release.erase(std::find(facts.release.begin(), facts.release.end(), '\n'), facts.release.end());
  }
  if (fs::is_regular_file(config, error)) facts.config = KernelConfig::read(config);
  return facts;
}

void check_directories(const BuildTrees& trees) {
  for (const fs::path& root : {trees.original, trees.patched}) {
    std::error_code error;
    if (!fs::is_directory(root, error))
      throw Error(root.string() + " is not a directory", "give the directory in which the kernel was compiled");
    if (!fs::is_directory(root / "kernel", error) && !fs::is_directory(root / "fs", error) &&
        !fs::is_directory(root / "drivers", error) && !fs::is_directory(root / "net", error))
      throw Error(root.string() + " is no build tree of a kernel: it has none of kernel/, fs/, drivers/, net/",
                  "give the directory in which make was run, or the one named with O=");
  }
  if (fs::canonical(trees.original) == fs::canonical(trees.patched))
    throw Error(fmt::format("{} and {} are the same tree", trees.original.string(), trees.patched.string()),
                "compile the kernel before and after the change in two directories", ExitStatus::usage);
}

void check_alike(const TreeFacts& a, const TreeFacts& b) {
  if (a.config && b.config)
    check_same_config(*a.config, *b.config,
                      "the configuration of the patched tree, compared with the original tree's,");
  // The release is text in some drivers: their data would look changed.
  if (!a.release.empty() && !b.release.empty() && a.release != b.release)
    throw Error(
        fmt::format("config-mismatch: the original tree is of release {}, the patched one of {}", a.release, b.release),
        "compile both with the same release, e.g. make KERNELRELEASE=" + a.release);
}

std::string first_of(const std::vector<std::string>& list) {
  constexpr size_t kShown = 5;
  std::string text;
  for (size_t i = 0; i < list.size() && i < kShown; ++i) text += (i == 0 ? "" : ", ") + list[i];
  return list.size() > kShown ? text + fmt::format(" and {} more", list.size() - kShown) : text;
}

}  // namespace

void check_trees(const BuildTrees& trees, const Kernel& kernel, Findings& findings) {
  check_directories(trees);
  const TreeFacts original = facts_of(trees.original), patched = facts_of(trees.patched);
  check_alike(original, patched);
  const TreeFacts& facts = original.config ? original : patched;
  const std::string& release = original.release.empty() ? patched.release : original.release;
  const std::string hint =
      "each patched unit is held against the shipped binary, so a difference that matters is found; the kernel's own "
      "configuration is " +
      kernel.config.string();
  if (!release.empty() && release != kernel.release)
    findings.add({Severity::note,
                  "config-mismatch",
                  {},
                  {},
                  {},
                  fmt::format("the trees are of release {}, the kernel is {}", release, kernel.release),
                  {}});
  if (!facts.config) return;
  const std::string compiler = facts.config->value("CC_VERSION_TEXT");
  if (compiler != kernel.compiler_text)
    findings.add({Severity::warning,
                  "compiler-mismatch",
                  {},
                  {},
                  {},
                  fmt::format("the trees were compiled by '{}', the kernel by '{}'", compiler, kernel.compiler_text),
                  hint});
  std::vector<std::string> list = differences(KernelConfig::read(kernel.config), *facts.config);
  std::erase_if(list, [](const std::string& line) { return line.starts_with("CONFIG_CC_VERSION_TEXT:"); });
  if (!list.empty())
    findings.add({Severity::warning,
                  "config-mismatch",
                  {},
                  {},
                  {},
                  fmt::format("the trees are configured otherwise than the kernel: {}", first_of(list)),
                  hint});
}

}  // namespace klp::kernel
