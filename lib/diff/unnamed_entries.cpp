#include "diff/unnamed_entries.h"

#include "diff/section_use.h"
#include "support/error.h"

namespace klp::diff {

std::map<std::string_view, std::string> unnamed_entries(const Pieces& pieces, const Tables& tables) {
  std::map<std::string_view, std::string> result;
  for (const Piece& piece : pieces.all()) {
    const elf::Section& section = *piece.section;
    if (piece.kind != PieceKind::anonymous || pieces.is_code(section) || !section.has_data() ||
        is_known_section(section.name) || tables.is_table(section))
      continue;
    std::string& text = result[section.name];
    text.append(reinterpret_cast<const char*>(piece.data().data()), piece.size);
    for (const elf::Relocation& r : pieces.relocations(piece)) {
      const Reference reference = pieces.resolve(r);
      const std::string_view name = reference.kind == Reference::Kind::external ? reference.symbol->name
                                    : reference.piece != nullptr                ? reference.piece->name()
                                                                                : reference.string;
      text += fmt::format("{:x} {} {};", r.offset - piece.offset, name, reference.offset);
    }
  }
  return result;
}

}  // namespace klp::diff
