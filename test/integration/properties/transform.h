// Transformations of an object that change nothing of what it means: another assembler, another order of the source or
// another version of the compiler could have written the object so.
#pragma once

#include <random>
#include <string>

#include "elf/elf_object.h"
#include "elf/object_builder.h"

namespace klp::test {

using Random = std::mt19937_64;

/// Sections in another order (section groups stay in front of their members).
void shuffle_sections(elf::ObjectBuilder& object, Random& random);

/// The symbol table in another order; locals stay behind their FILE symbol.
void shuffle_symbols(elf::ObjectBuilder& object, Random& random);

/// Other numbers for static locals (`n.3` -> `n.11`), also such as other variables had before; for `__UNIQUE_ID_` names
/// too; and for clones (`f.isra.0` -> `f.isra.4`).
void renumber(elf::ObjectBuilder& object, Random& random);

/// A section symbol for every section, whether used or not.
void add_section_symbols(elf::ObjectBuilder& object);

/// References to local symbols of sections that hold one symbol only go over to section + offset, or back.
void use_section_symbols(elf::ObjectBuilder& object);
void use_named_symbols(elf::ObjectBuilder& object);

/// Something in front of all strings, mergeable constants and other content that no symbol names.
void pad_anonymous(elf::ObjectBuilder& object);

/// Debug information gone, as without -g.
void strip_debug(elf::ObjectBuilder& object);

/// Applies the transformation of that name ("sections", "symbols", "numbers", "section symbols", "to sections",
/// "to names", "padding", "no debug", "all") and reads the result.
elf::ElfObject transformed(const elf::ElfObject& object, const std::string& name, uint64_t seed);

inline const std::vector<std::string> kTransformations = {"sections",    "symbols",  "numbers", "section symbols",
                                                          "to sections", "to names", "padding", "all"};

}  // namespace klp::test
