#include "missing_symbols.h"

#include <algorithm>
#include <map>
#include <set>

#include "kernel/source_search.h"
#include "support/error.h"

namespace klp::tools {

void name_definitions(const std::filesystem::path& patched_source, Findings& findings) {
  const auto is_meant = [](const Finding& f) {
    return f.severity == Severity::refusal && f.code == "missing-symbol" && !f.refers_to.empty();
  };
  std::set<std::string> names;
  std::string near;
  for (const Finding& f : findings.list()) {
    if (!is_meant(f)) continue;
    names.insert(f.refers_to);
    if (near.empty()) near = std::filesystem::path(f.unit).parent_path().generic_string();
  }
  if (names.empty()) return;
  const std::vector<std::string> list(names.begin(), names.end());
  const std::vector<std::string> files = kernel::defining_files(patched_source, near, list);
  findings.for_each([&](Finding& f) {
    if (!is_meant(f)) return;
    const std::string& file =
        files[static_cast<size_t>(std::find(list.begin(), list.end(), f.refers_to) - list.begin())];
    if (file.empty()) {
      f.message += ", and no file of the patched source defines it: the patch is not complete";
      f.hint = "add the part of the change that defines it";
    } else {
      f.message += fmt::format("; {} of the patched source defines it", file);
      f.hint = fmt::format("this kernel is built without it, or the patch must change {} as well", file);
    }
  });
}

}  // namespace klp::tools
