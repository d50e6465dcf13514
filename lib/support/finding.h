// Findings: what is told to the user about a patch, each with a stable code.
//
// Phases add to one Findings list and never stop at the first refusal; the driver reads the list at its checkpoints.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace klp {

enum class Severity { note, warning, refusal };

std::string_view to_string(Severity severity);

/// One finding. `code` is one of the stable codes (docs/refusals.md); the place fields may be empty.
struct Finding {
  Severity severity = Severity::note;
  std::string code;
  std::string object;  ///< "vmlinux" or a module's name
  std::string unit;    ///< e.g. "fs/proc/meminfo.o", or the source file when no unit is known
  std::string symbol;
  std::string message;
  std::string hint;            ///< what the user can do
  bool acceptable = true;      ///< false: --accept does not reach this one, whatever its code
  std::string place = {};      ///< where in the patched source, "fs/proc/array.c:131-134"; may be empty
  std::string refers_to = {};  ///< the symbol that `symbol` refers to, where that is what is wrong
};

/// The list of findings of one run. The order of addition is kept within a rank; sorted() puts the true cause first.
class Findings {
 public:
  void add(Finding finding) { list_.push_back(std::move(finding)); }
  void add(const Findings& other) { list_.insert(list_.end(), other.list_.begin(), other.list_.end()); }

  bool has_refusal() const;
  bool empty() const { return list_.empty(); }
  const std::vector<Finding>& list() const { return list_; }

  /// Runs `change` on each, in order.
  void for_each(const std::function<void(Finding&)>& change) {
    for (Finding& finding : list_) change(finding);
  }

  /// Refusals first, in the order of causes: changed-layout, then missing-symbol and not-traceable, changed-prototype,
  /// changed-data, then the rest; warnings and notes after them. Stable.
  std::vector<Finding> sorted() const;

  /// Turns refusals that the user accepted (`CODE` or `CODE:SYMBOL`) into warnings. Returns the specs that may not be
  /// accepted or that matched nothing, so that the caller can say so.
  std::vector<std::string> accept(const std::vector<std::string>& specs);

 private:
  std::vector<Finding> list_;
};

/// True for the codes whose refusal is the author's to judge (`--accept`).
bool is_acceptable_code(std::string_view code);

}  // namespace klp
