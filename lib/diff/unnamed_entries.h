// Entries that assembler code puts into kernel tables without giving them a symbol (DECLARE_PCI_FIXUP of
// include/linux/pci.h, 5.10-6.12). Where the table's meaning is not known, all that can be told is whether they
// changed.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "diff/tables.h"

namespace klp::diff {

/// By section that is neither known (section_use.h) nor one of `tables`: the bytes and references of what no symbol
/// covers.
std::map<std::string_view, std::string> unnamed_entries(const Pieces& pieces, const Tables& tables);

}  // namespace klp::diff
