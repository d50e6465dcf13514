// Names of symbols without what the compiler and the preprocessor count; names of sections without whose they are.
#pragma once

#include <string>
#include <string_view>

namespace klp::diff {

/// "foo.constprop" of "foo.constprop.0", "n" of "n.12", "__UNIQUE_ID_x" of "__UNIQUE_ID_x123",
/// "__initcall__kmod_x_f3" of "__initcall__kmod_x__341_239_f3" (a counter and a line).
std::string stable_name(std::string_view symbol);

/// The kind of memory that a section is: ".text" of ".text.unlikely.f", ".init.text", ".data" of ".data..read_mostly".
std::string memory_kind(std::string_view section);

}  // namespace klp::diff
