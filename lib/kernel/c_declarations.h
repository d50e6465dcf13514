// What a top-level piece of C is and which names it defines (the judgement behind split_items).
#pragma once

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

/// Whether the '{' that ends `head` opens the body of a function, not a type or an initialiser.
bool is_function_head(const std::vector<Token>& head);

}  // namespace klp::kernel
