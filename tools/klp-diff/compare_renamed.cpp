#include "compare_renamed.h"

#include <algorithm>
#include <set>

#include "diff/stable_name.h"

namespace klp::tools {
namespace {

using Names = std::set<std::string>;

/// Those that every module has tell nothing.
Names functions_of(const fs::path& path) {
  Names result;
  const elf::ElfObject object = read_binary(path);
  for (const elf::Symbol& s : object.symbols()) {
    if (s.is_defined() && s.section->is_exec() && s.size != 0 && s.name != "init_module" && s.name != "cleanup_module")
      result.insert(diff::stable_name(s.name));
  }
  return result;
}

struct Single {
  report::ComparedBinary* binary;
  Names names;
};

size_t common(const Single& a, const Single& b) {
  return static_cast<size_t>(
      std::count_if(a.names.begin(), a.names.end(), [&](const std::string& name) { return b.names.count(name) != 0; }));
}

/// The only one of `others` with most names in common, if these are more than half of both.
const Single* partner(const Single& one, const std::vector<Single>& others) {
  const Single* best = nullptr;
  size_t most = 0;
  for (const Single& other : others) {
    const size_t count = common(one, other);
    if (count >= most) best = count == most ? nullptr : &other;
    most = std::max(most, count);
  }
  return best != nullptr && 2 * most > std::max(one.names.size(), best->names.size()) ? best : nullptr;
}

}  // namespace

void join_renamed(const ComparedSide& before, const ComparedSide& after,
                  std::vector<report::ComparedBinary>& binaries) {
  std::vector<Single> gone, fresh;
  const bool some_gone = std::any_of(binaries.begin(), binaries.end(), [](const auto& b) { return b.only_before; });
  const bool some_fresh = std::any_of(binaries.begin(), binaries.end(), [](const auto& b) { return b.only_after; });
  if (!some_gone || !some_fresh) return;
  for (report::ComparedBinary& b : binaries) {
    if (b.only_before) gone.push_back({&b, functions_of(before.binaries().at(b.name))});
    if (b.only_after) fresh.push_back({&b, functions_of(after.binaries().at(b.name))});
  }
  std::set<std::string> done;
  for (const Single& f : fresh) {
    const Single* old = partner(f, gone);
    if (old == nullptr || partner(*old, fresh) != &f) continue;
    f.binary->only_after = false;
    f.binary->old_name = f.binary->renamed_from = old->binary->name;
    done.insert(old->binary->name);
  }
  std::erase_if(binaries, [&](const auto& b) { return b.only_before && done.count(b.name) != 0; });
}

}  // namespace klp::tools
