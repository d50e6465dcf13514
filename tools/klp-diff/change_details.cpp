#include "change_details.h"

#include "report/page_code.h"
#include "support/run.h"

namespace klp::tools {
namespace {

constexpr size_t kContext = 4;  // equal instructions around those that differ, on the page

}  // namespace

void add_details(const ComparedSide& before, const std::string& old_name, const ComparedSide& after,
                 report::ComparedBinary& binary, bool with_code, const SourceTrees& trees) {
  const OpenedBinary a(before, old_name), b(after, binary.name);
  const diff::CodeSource source_a = a.source(), source_b = b.source();
  SourceFiles old_files(trees.before), new_files(trees.after);
  const diff::SideBySide view(source_a, source_b);
  binary.without_lines = !a.has_lines() || !b.has_lines();
  for (const diff::ImageChange& change : binary.difference.functions) {
    throw_if_interrupted();
    const auto parts = view.parts(change.old_symbol, change.new_symbol, {with_code ? kContext : 0, SIZE_MAX});
    std::string code;
    if (with_code) code = report::page_code(parts, old_files.text(parts, false), new_files.text(parts, true));
    binary.details.push_back({diff::origin_of(parts), std::move(code)});
  }
}

}  // namespace klp::tools
