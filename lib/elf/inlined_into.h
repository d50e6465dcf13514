// Which functions a function was inlined into, by the debug information of a shipped binary.
#pragma once

#include <map>
#include <set>
#include <string>

#include "elf/elf_object.h"

namespace klp::elf {

/// Names of functions by the file of their unit, without its directory: "array.c", as FILE symbols have it.
using FunctionsByFile = std::map<std::string, std::set<std::string>>;

/// For each of the functions that some code of a unit of that file has inlined: the functions that this code belongs
/// to. `binary` is vmlinux, or a module read with all relocations, with its debug information; without any the answer
/// is empty. Only the units of those files are read: a file of vmlinux takes some milliseconds. Error when libelf does
/// not take the file or its entries link back.
std::map<std::string, std::set<std::string>> inlined_into(const ElfObject& binary, const FunctionsByFile& functions);

}  // namespace klp::elf
