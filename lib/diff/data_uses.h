// What code does with read-only data: whether a copy with another content, at another address, may take its place.
#pragma once

#include <string>

#include "diff/uses.h"

namespace klp::diff {

/// Plain constants: not writable, and in no section that means something to the kernel. Where code is linked for any
/// address (POWER), gcc has constants with addresses in .data.rel.ro, which is writable until they are filled in
/// (varasm.c: categorize_decl_for_section).
bool is_constant_data(const Piece& piece);

struct DataUse {
  enum class Kind {
    load,    ///< only its content is read
    passed,  ///< its address goes to a function that is called
    other    ///< it is stored or compared, or nobody can tell
  };
  Kind kind = Kind::other;
  std::string text;  ///< for messages: "stored at f+0x1c"; empty for a load
};

DataUse use_of_data(const Pieces& pieces, const Tables& tables, const Use& use);

}  // namespace klp::diff
