#include "diff/start_calls.h"

namespace klp::diff {

std::set<std::string> start_calls(const Pieces& pieces) {
  std::set<std::string> result;
  for (const elf::Section& section : pieces.object().sections()) {
    if (!section.name.starts_with(".initcall") && !section.name.starts_with(".con_initcall")) continue;
    for (const elf::Relocation& r : section.relocations) {
      if (pieces.arch().field_kind(r).width == 0) continue;
      const Reference reference = pieces.resolve(r);
      if (reference.kind == Reference::Kind::piece) result.insert(std::string(reference.piece->name()));
      if (reference.kind == Reference::Kind::external) result.insert(std::string(reference.symbol->name));
    }
  }
  return result;
}

}  // namespace klp::diff
