// What a top-level piece of C is and which names it defines (the judgement behind split_items).
#pragma once

#include <string>

#include "kernel/c_items.h"

namespace klp::kernel {

struct Declaration {
  ItemKind kind = ItemKind::other;
  std::vector<std::string_view> names;
};

/// Judges a whole piece, that ends with ';' or with the '}' of a function. The common forms of kernel headers are
/// known; a piece of any other form is `other`. Attributes that are macros are known by a list of names; one that is
/// not in it counts as a name that the piece defines.
Declaration classify(const std::vector<Token>& piece);

/// What people call a piece.
struct Description {
  enum class Kind { function, type, other };
  Kind kind = Kind::other;
  std::string name;  ///< "sk_free", "struct sock", "SYSCALL_DEFINE1(brk)"; empty: none
};

/// Of a piece as split_for_readers cuts it; a function's need not be inline. A guess where macros hide what it is.
Description describe(const std::vector<Token>& piece);

/// Whether the '{' that ends `head` opens the body of a function, not a type or an initialiser.
bool is_function_head(const std::vector<Token>& head);

}  // namespace klp::kernel
