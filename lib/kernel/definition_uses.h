// What a piece of C names, and how: the facts that the closure over names works with.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "kernel/c_items.h"
#include "kernel/name_table.h"

namespace klp::kernel {

/// A word in an argument of a call: `callee` ( ..., word, ...).
struct Argument {
  uint32_t callee = 0;
  uint32_t index = 0;      ///< of the argument
  bool parameter = false;  ///< of the macro that the call is in: then `word` is the parameter's index
  bool whole = false;      ///< the word is all of the argument
  uint32_t word = 0;
  auto operator<=>(const Argument&) const = default;
};

/// Stands for a tag where an object has the type of an expression: typeof(*p) x. No name that a text can have.
constexpr std::string_view kUnknownType = "typeof(...)";

/// A macro's or function's argument.
using Place = std::pair<uint32_t, uint32_t>;

struct DefinitionUses {
  ItemKind kind = ItemKind::other;
  bool makes_code = false;     ///< whether named or not
  std::vector<uint32_t> head;  ///< of a function or variable: the words outside of its body. One that means __used
                               ///< makes it stay. (One in the body of an unused inline function keeps nothing: gcc.)
  bool is_typedef = false;
  bool local = false;           ///< a macro of a unit's own source: no other unit sees it
  size_t text = 0;              ///< the number of the text it is in
  std::vector<uint32_t> names;  ///< that it defines
  std::vector<uint32_t> uses;   ///< that it names; not the members and enumerators that it declares
  /// Tags of structs and unions that it has, makes or copies, not only points to; or variables of which it takes the
  /// type.
  std::vector<uint32_t> by_value;
  std::vector<std::pair<Place, uint32_t>> type_arguments;  ///< a tag that is given to a macro or function
  std::vector<uint32_t> type_parameters;  ///< of a macro: it declares or initialises something of this type
  std::vector<Argument> arguments;        ///< each word of each argument once

  void merge(const DefinitionUses& other);
  void sort();
};

/// Reads `item`; numbers come from `names`, where its words are marked as such.
DefinitionUses uses_of(const Item& item, NameTable& names);

}  // namespace klp::kernel
