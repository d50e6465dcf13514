// One page for a browser. The list is JSON, the code of each binary's functions a packed text: a page of two kernels
// unpacked is several times as large.
#include <fmt/format.h>
#include <openssl/evp.h>
#include <zlib.h>

#include <algorithm>

#include "report/compare_report.h"
#include "report/page.h"
#include "support/error.h"

namespace klp::report {
namespace {

constexpr size_t kMostCode = 11'000'000;  // bytes of packed code; the list of two kernels takes 2 MB beside it
constexpr char kBetween = '\f';           // two functions

/// zlib's format, as text.
std::string packed(const std::string& text) {
  uLongf size = compressBound(text.size());
  std::string bytes(size, '\0');
  const int status = compress2(reinterpret_cast<Bytef*>(bytes.data()), &size,
                               reinterpret_cast<const Bytef*>(text.data()), text.size(), Z_BEST_COMPRESSION);
  check(status == Z_OK, "zlib: error {}", status);
  std::string result(4 * ((size + 2) / 3) + 1, '\0');
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(result.data()),
                                     reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(size));
  result.resize(static_cast<size_t>(length));
  return result;
}

/// The first `count` functions' code.
std::string joined(const std::vector<ChangeDetail>& details, size_t count) {
  std::string result;
  for (size_t i = 0; i < count; ++i) {
    if (i != 0) result += kBetween;
    result += details[i].code;
  }
  return result;
}

/// The code of all binaries.
class PackedCode {
 public:
  explicit PackedCode(const CompareReport& report) : places(report.binaries.size()) {
    for (size_t n = 0; n < report.binaries.size(); ++n) add(n, report.binaries[n]);
  }

  std::string elements;
  std::vector<std::vector<long>> places;
  size_t left_out = 0;  ///< functions

 private:
  /// Functions come in the order of their weight, so that the smallest go where there is no room.
  void add(size_t n, const ComparedBinary& binary) {
    const std::vector<ChangeDetail>& details = binary.details;
    const bool has_code =
        std::any_of(details.begin(), details.end(), [](const ChangeDetail& d) { return !d.code.empty(); });
    if (!has_code) return;
    size_t kept = details.size();
    std::string text = packed(joined(details, kept));
    while (kept != 0 && elements.size() + text.size() > kMostCode) {
      kept /= 2;
      text = packed(joined(details, kept));
    }
    left_out += details.size() - kept;
    places[n].assign(details.size(), -1);
    for (size_t i = 0; i < kept; ++i) places[n][i] = static_cast<long>(i);
    if (kept != 0) elements += fmt::format("<script type=\"text/plain\" id=\"code-{}\">{}</script>\n", n, text);
  }
};

/// No name can end the element that the JSON stands in.
std::string without_markup(const std::string& json) {
  std::string result;
  for (const char c : json) {
    if (c == '<')
      result += "\\u003c";
    else
      result += c;
  }
  return result;
}

constexpr std::string_view kHead =
    R"(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<title>klp-diff compare</title>
)";

}  // namespace

std::string compare_html(const CompareReport& report) {
  const PackedCode code(report);
  std::string page(kHead);
  page += fmt::format("<style>\n{}</style>\n</head>\n<body>\n{}", kPageStyle, kPageBody);
  page += fmt::format("<script type=\"application/json\" id=\"index\">{}</script>\n",
                      without_markup(page_index_json(report, code.places, code.left_out)));
  page += code.elements;
  page += fmt::format("<script>\n{}</script>\n</body>\n</html>\n", kPageScript);
  return page;
}

}  // namespace klp::report
