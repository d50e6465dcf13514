#include "diff/run_time_constants.h"

#include <algorithm>

#include <fmt/format.h>

namespace klp::diff {
namespace {

RunTimeConstant refused(std::string code, std::string message, std::string hint) {
  RunTimeConstant result;
  result.variable.treatment = Treatment::refuse;
  result.variable.code = std::move(code);
  result.variable.message = std::move(message);
  result.variable.hint = std::move(hint);
  return result;
}

/// The unit's own variable of that name, or a reference to another unit's: the code itself has none. Of kind `none`
/// when it cannot be told which variable it is.
Reference reference_to(std::string_view name, const Pieces& patched, elf::Symbol& external) {
  Reference reference;
  const std::vector<const Piece*> own = patched.named(name);
  if (own.size() == 1 && own.front()->kind == PieceKind::object) {
    reference.kind = Reference::Kind::piece;
    reference.piece = own.front();
  }
  if (!own.empty()) return reference;
  external.name = name;
  external.bind = elf::kStbGlobal;
  reference.kind = Reference::Kind::external;
  reference.symbol = &external;
  return reference;
}

/// The size that the running kernel's variable has; 0 when the symbol table does not tell.
uint64_t shipped_size(const Decision& variable, const elf::SymbolIndex& vmlinux) {
  if (variable.treatment == Treatment::plain) {
    const elf::Symbol* exported = vmlinux.maybe_global(variable.name);
    return exported == nullptr ? 0 : exported->size;
  }
  const auto same = vmlinux.object().symbols_named(variable.klp.symbol);
  const auto found = std::find_if(same.begin(), same.end(), [&](const elf::Symbol* s) {
    return s->is_defined() && elf::SymbolIndex::in_kallsyms(*s, false) && vmlinux.sympos(*s) == variable.klp.sympos;
  });
  return found == same.end() ? 0 : (*found)->size;
}

/// Whether the bytes that are written lie in a range that an alternative or a paravirt call replaces at load.
bool is_rewritten_otherwise(const TableEntry& constant, const Piece& function, const Tables& tables) {
  const int64_t start = constant.owner_offset, end = start + constant.spec->constant_size;
  const auto& entries = tables.of(&function);
  return std::any_of(entries.begin(), entries.end(), [&](const TableEntry& other) {
    if (!other.layout->site_length) return false;
    const auto length = static_cast<int64_t>(other.section->data[other.offset + *other.layout->site_length]);
    return other.owner_offset < end && start < other.owner_offset + length;
  });
}

}  // namespace

RunTimeConstant run_time_constant(const TableEntry& entry, const Piece& function, const PlanInput& input) {
  const std::string_view section = entry.section->name;
  const std::string_view name = section.substr(entry.spec->section.size());
  const auto refuse = [&](const std::string& why) {
    return refused("unsupported-section", fmt::format("{}: {}", section, why), "avoid this run-time constant");
  };
  if (input.context->object != "vmlinux") return refuse("code of a module has no run-time constants");
  const int64_t end = entry.owner_offset + entry.spec->constant_size;
  if (entry.owner_offset < 0 || end > static_cast<int64_t>(function.size) ||
      is_rewritten_otherwise(entry, function, *input.tables))
    return refuse("its place is not code that stays as it is");

  elf::Symbol external;
  const Reference reference = reference_to(name, *input.patched, external);
  if (reference.kind == Reference::Kind::none) return refuse(fmt::format("it cannot be told which {} it is", name));
  const Decision variable = input.policy->decide(reference, function, false);
  if (variable.treatment == Treatment::refuse) return {variable, 0};
  if (variable.treatment != Treatment::klp && variable.treatment != Treatment::plain)
    return refuse(fmt::format("the running kernel has given {} no value", name));
  const uint64_t size = shipped_size(variable, *input.context->vmlinux);
  const bool known = size == 1 || size == 2 || size == 4 || size == 8;
  if (!known || size < entry.spec->constant_size)
    return refuse(fmt::format("{} is of {} bytes in the running kernel, which no such constant is", name, size));
  return {variable, size};
}

}  // namespace klp::diff
