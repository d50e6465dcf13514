#include "change_details.h"

#include "report/page_code.h"
#include "support/run.h"

namespace klp::tools {
namespace {

constexpr size_t kContext = 4;  // equal instructions around those that differ, on the page

}  // namespace

std::vector<report::ChangeDetail> change_details(const ComparedSide& before, const std::string& old_binary,
                                                 const ComparedSide& after, const std::string& binary,
                                                 const std::vector<diff::ImageChange>& functions, bool with_code) {
  const OpenedBinary a(before, old_binary), b(after, binary);
  const diff::CodeSource source_a = a.source(), source_b = b.source();
  const diff::SideBySide view(source_a, source_b);
  std::vector<report::ChangeDetail> result;
  for (const diff::ImageChange& change : functions) {
    throw_if_interrupted();
    const auto parts = view.parts(change.old_symbol, change.new_symbol, {with_code ? kContext : 0, SIZE_MAX});
    result.push_back({diff::origin_of(parts), with_code ? report::page_code(parts) : std::string()});
  }
  return result;
}

}  // namespace klp::tools
