#include "report/compare_livepatch.h"

#include <map>

#include <fmt/format.h>

#include "report/text_layout.h"

namespace klp::report {
namespace {

using diff::ImageChange;

constexpr size_t kShown = 20;

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

bool is_boot_only(std::string_view area) {
  return area.starts_with(".init.") || area == ".head.text";
}

class LivepatchWriter {
 public:
  explicit LivepatchWriter(const CompareTextOptions& options) : options_(options), paint_(options.color) {}

  void add(const ComparedBinary& binary) {
    for (const ImageChange& c : binary.difference.functions) add(binary, c, function_carried(c), functions_);
    for (const ImageChange& c : binary.difference.variables) add(binary, c, variable_carried(c), variables_);
    if (binary.only_after || binary.only_before) ++single_;
  }

  std::string write(const CompareReport& report) {
    std::string out = fmt::format("\n{}\n", paint_(Ink::strong, "as a livepatch"));
    out += wrapped("  functions: ", counts(functions_)) + wrapped("  variables: ", counts(variables_));
    size_t changed_types = 0;
    for (const auto& fact : report.facts.types) changed_types += fact.kind == diff::Fact::Kind::changed ? 1 : 0;
    if (changed_types != 0)
      out += wrapped("  types: ", fmt::format("{} with another layout: objects that live in the old one stay so, and "
                                              "functions that use them cannot be patched as they are (changed-layout)",
                                              with_thousands(changed_types)));
    if (single_ != 0)
      out += wrapped("  binaries: ", fmt::format("{} that only one build has: a module can be loaded or unloaded, no "
                                                 "livepatch does it",
                                                 with_thousands(single_)));
    out += wrapped("  ", outcome(changed_types));
    if (options_.stat) return out;
    const size_t shown = options_.all ? told_.size() : std::min(told_.size(), kShown);
    for (size_t i = 0; i < shown; ++i) out += told_[i];
    if (shown < told_.size())
      out += fmt::format("  and {} more (--all lists them)\n", with_thousands(told_.size() - shown));
    return out;
  }

 private:
  using Counts = std::map<Carried, uint64_t>;

  void add(const ComparedBinary& binary, const ImageChange& c, const CarriedAs& as, Counts& counts) {
    ++counts[as.how];
    if (as.how != Carried::lifted && as.how != Carried::refused && as.how != Carried::unknown) return;
    told_.push_back(wrapped(fmt::format("  {} {} ", padded(std::string(name_of(as.how)), 8),
                                        padded(fmt::format("{} ({})", c.name, binary.name), 44)),
                            as.why));
  }

  static std::string counts(const Counts& counts) {
    std::string text;
    for (const auto& [how, count] : counts)
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", with_thousands(count), name_of(how));
    return text.empty() ? "none" : text;
  }

  std::string outcome(size_t changed_types) {
    const uint64_t refused = functions_[Carried::refused] + variables_[Carried::refused];
    const uint64_t unknown = functions_[Carried::unknown] + variables_[Carried::unknown];
    if (refused + changed_types != 0)
      return "the whole of it needs a reboot; what is patched above can go in livepatches";
    if (unknown != 0)
      return "whether all of it can is not to be seen from the binaries: try klp-diff build with the source patch";
    return functions_.empty() && variables_.empty() ? "there is nothing to do" : "a livepatch could carry all of it";
  }

  const CompareTextOptions& options_;
  Paint paint_;
  Counts functions_, variables_;
  uint64_t single_ = 0;
  std::vector<std::string> told_;
};

}  // namespace

std::string_view name_of(Carried how) {
  switch (how) {
    case Carried::patched:
      return "patched";
    case Carried::lifted:
      return "lifted";
    case Carried::with:
      return "carried";
    case Carried::inert:
      return "inert";
    case Carried::left:
      return "left";
    case Carried::refused:
      return "refused";
    case Carried::unknown:
      break;
  }
  return "unknown";
}

CarriedAs function_carried(const ImageChange& c) {
  if (c.kind == ImageChange::Kind::added) return {Carried::with, ""};
  if (c.kind == ImageChange::Kind::removed) return {Carried::left, ""};
  if (is_boot_only(c.area)) return {Carried::inert, "runs at boot only"};
  if (!c.traceable) return {Carried::unknown, "the build does not tell which functions ftrace can redirect"};
  if (*c.traceable) return {Carried::patched, ""};
  if (!c.callers.empty()) return {Carried::lifted, "no ftrace site; called by " + joined(c.callers)};
  return {c.area == ".noinstr.text" || c.area == ".entry.text" ? Carried::refused : Carried::unknown,
          "no ftrace site, and no direct call from a function that has one is known"};
}

CarriedAs variable_carried(const ImageChange& c) {
  if (c.kind == ImageChange::Kind::added) return {Carried::with, ""};
  if (c.kind == ImageChange::Kind::removed) return {Carried::left, ""};
  if (is_boot_only(c.area)) return {Carried::inert, "boot-time data"};
  if (c.area == "__dyndbg") return {Carried::with, ""};
  if (c.area == ".rodata")
    return {Carried::unknown, "constant: functions that only read it carry a copy, if nobody compares its address"};
  if (c.area.empty()) return {Carried::unknown, "the build does not tell what memory it is in"};
  return {Carried::refused, "the running kernel's variable is not replaced (changed-data)"};
}

std::string compare_livepatch_text(const CompareReport& report, const CompareTextOptions& options) {
  LivepatchWriter writer(options);
  for (const ComparedBinary& b : report.binaries) writer.add(b);
  return writer.write(report);
}

}  // namespace klp::report
