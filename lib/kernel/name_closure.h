// Who can be affected by a change of names: the scan proof.
//
// Starting from the changed names, every macro, inline function, type, variable or declaration whose text names one of
// them joins, until nothing is added. A text is affected when a part of it that makes code or data names one of them.
// An #if counts when it asks for a changed macro. Names that ## can make count as named by the macro.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "kernel/c_items.h"
#include "kernel/header_change.h"

namespace klp::kernel {

/// What the closure starts from.
struct ChangedNames {
  std::set<std::string> names;
  std::set<std::string> macros;  ///< the part of `names` that an #if can ask for
  /// Types that got members in what was padding. Who only holds pointers to them is not affected; who makes, copies or
  /// initialises one by value is, and so is who does that with a type that has one inside.
  std::set<std::string> filled;
};

class NameClosure {
 public:
  NameClosure();
  ~NameClosure();
  NameClosure(NameClosure&&) noexcept;

  /// Adds a text; returns its number, counted from 0. In a `header`, definitions that make nothing by themselves are
  /// followed; of a unit's own source each word counts.
  enum class Role { header, source };
  size_t add(const std::vector<Item>& items, Role role);

  struct Affected {
    bool is = false;
    bool directly = false;  ///< it names what changed itself
    std::string why;        ///< the name, and how the change leads to it
  };
  /// For each text, by its number, whether it is affected by the change.
  std::vector<Affected> affected(const ChangedNames& change);

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

}  // namespace klp::kernel
