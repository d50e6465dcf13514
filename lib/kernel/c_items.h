// A C text cut into directives and top-level declarations and definitions, whatever the #if around them.
//
// What proofs about headers need to know of each piece: which names it defines, and whether it can make code or data
// where nobody names them. In doubt it can (ItemKind::other), and the text of a torn piece is one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/c_tokens.h"

namespace klp::kernel {

enum class ItemKind : uint8_t {
  macro,        ///< #define
  undefine,     ///< #undef
  condition,    ///< #if, #ifdef, #ifndef, #elif, #else, #endif
  include,      ///< #include
  directive,    ///< any other: #pragma, #error, ...
  type,         ///< struct, union or enum with its members, also in a typedef
  function,     ///< static or extern inline, with its body
  declaration,  ///< extern, prototype, typedef, forward declaration
  variable,     ///< static, not made by a macro that could make more than that
  other         ///< everything else: makes code or data, or nothing is known about it
};

struct Item {
  ItemKind kind = ItemKind::other;
  std::vector<Token> tokens;            ///< a directive's with its #; a condition inside a piece is part of it as well
  std::vector<std::string_view> names;  ///< that it defines; too many rather than too few; none for `other`
  uint64_t digest = 0;                  ///< of the tokens, and of the conditions around it
};

/// Whether a blank between two tokens counts for the digest: in the text of a header it can end in a string (#x), in
/// preprocessed text it cannot; there words are without the numbers that __COUNTER__ gave, which only make names
/// differ.
enum class Blanks { count, ignored };

/// The pieces in the order in which they end. Every token outside of them is lost: a lone ';'. `complete` becomes
/// whether the last piece is at its end there, with every #if closed: what follows is cut as if it were alone.
std::vector<Item> split_items(const TokenText& text, Blanks blanks, bool* complete = nullptr);

/// The same for people who read it, not for proofs: where a macro hides a brace, a closing one in the first column puts
/// it right again.
std::vector<Item> split_for_readers(const TokenText& text);

/// An enumerator with all that decides its value: the last explicit value before it and the distance from there.
struct Enumerator {
  std::string_view name;
  std::string value;
  bool plain = false;  ///< implicit, or a decimal number: cannot change the type of the enum
};

/// The enumerators of all enums in a type.
std::vector<Enumerator> enumerators(const std::vector<Token>& type);

/// The position behind the bracket that closes the one at `open`; tokens.size() when none does.
size_t behind_group(const std::vector<Token>& tokens, size_t open);

bool is_keyword(std::string_view word);

}  // namespace klp::kernel
