#include "compare_inlined.h"

#include <fmt/ranges.h>

#include "elf/inlined_into.h"
#include "support/error.h"

namespace klp::tools {
namespace {

using Kind = diff::ImageChange::Kind;

/// A clone's name is its function's with the compiler's words behind it.
std::string in_source(const diff::ImageChange& change) {
  return change.name.substr(0, change.name.find('.'));
}

/// The other side says into whom: the second build for those that are gone, the first for new ones.
void tell(const ComparedSide& side, const std::string& binary, Kind kind, std::string_view what,
          std::vector<diff::ImageChange>& changes) {
  elf::FunctionsByFile asked;
  const auto is_asked = [&](const diff::ImageChange& c) {
    return c.kind == kind && c.reason.empty() && !c.file.empty();
  };
  for (const diff::ImageChange& c : changes) {
    if (is_asked(c)) asked[c.file].insert(in_source(c));
  }
  if (asked.empty()) return;
  using Want = elf::ElfObject::Want;
  const fs::path file = side.debug_file(binary);
  elf::ElfObject object = elf::ElfObject::read(file, Want::symbols_only);
  if (object.type() == 1) object = elf::ElfObject::read(file);
  const auto found = elf::inlined_into(object, asked);
  for (diff::ImageChange& c : changes) {
    const auto into = is_asked(c) ? found.find(in_source(c)) : found.end();
    if (into != found.end()) c.reason = fmt::format("{} {}", what, fmt::join(into->second, ", "));
  }
}

}  // namespace

void tell_inlined(const ComparedSide& before, const std::string& old_name, const ComparedSide& after,
                  report::ComparedBinary& binary) {
  try {
    tell(after, binary.name, Kind::removed, "is inlined now, into", binary.difference.functions);
    tell(before, old_name, Kind::added, "was inlined before, into", binary.difference.functions);
  } catch (const Error& error) {
    if (error.status() == ExitStatus::interrupted) throw;  // without debug information they are gone and new, no more
  }
}

}  // namespace klp::tools
