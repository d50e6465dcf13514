#include "diff/references.h"

#include <algorithm>

#include "diff/section_use.h"
#include "support/error.h"

namespace klp::diff {
namespace {

Decision refuse(std::string code, std::string message, std::string hint) {
  Decision d;
  d.treatment = Treatment::refuse;
  d.code = std::move(code);
  d.message = std::move(message);
  d.hint = std::move(hint);
  return d;
}

Decision carry(const Piece* piece) {
  Decision d;
  d.treatment = Treatment::carry;
  d.piece = piece;
  return d;
}

bool is_discarded(const elf::Section& section) {
  return is_init_section(section.name) || is_exit_section(section.name);
}

}  // namespace

ReferencePolicy::ReferencePolicy(const ReferenceContext& context) : context_(context) {
  if (context.vmlinux == nullptr) return;
  const arch::Arch& arch = context.patched->arch();
  if (!checks_indirect_calls(context.vmlinux->object(), arch)) return;
  of_vmlinux_.emplace(context.vmlinux->object(), arch);
  if (context.object != "vmlinux" && context.shipped != nullptr) of_shipped_.emplace(context.shipped->object(), arch);
}

Decision ReferencePolicy::decide(const Reference& reference, const Piece& from, bool in_table) const {
  Decision decision = decide_any(reference, from, in_table);
  if (reference.branch || in_table || may_be_taken(decision)) return decision;
  return refuse(
      "unsupported-relocation",
      fmt::format("takes the address of {}, which the running {} allows direct calls of only: nothing there has its "
                  "address, and a processor that checks indirect calls (IBT) would stop at one",
                  decision.klp.symbol, decision.klp.symbol_object),
      "give the address of a new function that calls it");
}

/// What is exported is not looked at: objtool counts the export as a use of the address (tools/objtool/check.c:
/// validate_ibt, 6.12).
bool ReferencePolicy::may_be_taken(const Decision& decision) const {
  const elf::Section* section = decision.shipped == nullptr ? nullptr : decision.shipped->section;
  if (section == nullptr || !section->is_exec()) return true;  // common symbols have none
  const auto& entries = decision.late() ? of_shipped_ : of_vmlinux_;
  return !entries || entries->allows(*decision.shipped);
}

Decision ReferencePolicy::decide_any(const Reference& reference, const Piece& from, bool in_table) const {
  switch (reference.kind) {
    case Reference::Kind::none:
    case Reference::Kind::string:
      return {};
    case Reference::Kind::external:
      return decide_external(reference);
    case Reference::Kind::piece:
      break;
  }
  return reference.piece->section->is_exec() ? decide_function(reference, from, in_table) : decide_data(reference);
}

bool ReferencePolicy::exported_by_vmlinux(std::string_view name) const {
  const auto found = context_.exports->find(name);
  return found != context_.exports->end() && found->second.module == "vmlinux" &&
         !found->second.name_space.starts_with("module:");
}

bool ReferencePolicy::depends_on(std::string_view module) const {
  if (module == context_.object) return true;
  const auto& symbols = context_.shipped->object().symbols();
  return std::any_of(symbols.begin(), symbols.end(), [&](const elf::Symbol& s) {
    if (!s.is_undefined() || s.bind == elf::kStbWeak || s.name.empty()) return false;
    const auto found = context_.exports->find(s.name);
    return found != context_.exports->end() && found->second.module == module;
  });
}

Decision ReferencePolicy::decide_external(const Reference& reference) const {
  const std::string name(reference.symbol->name);
  if (context_.patched->arch().is_made_by_loader(name)) {
    Decision own;
    own.treatment = Treatment::plain;
    own.name = name;
    return own;
  }
  // A common symbol is a global that some unit of the object defines; the linker has given it a place.
  if (reference.symbol->place == elf::SymbolPlace::common) {
    const elf::Symbol* linked = context_.shipped->maybe_global(name);
    if (linked != nullptr) return to_shipped(*linked, *context_.shipped, context_.object);
  }
  if (reference.symbol->place != elf::SymbolPlace::undefined) {
    return refuse("unsupported-relocation", fmt::format("{} is a new common symbol, or an absolute one", name),
                  "compile with -fno-common");
  }
  Decision d;
  if (context_.anew_elsewhere.count(name) != 0) {
    d.treatment = Treatment::plain;
    d.name = name;
    return d;
  }
  // A module's own symbol comes before an export of the same name: so the linker bound it.
  if (context_.object != "vmlinux") {
    const elf::Symbol* own = context_.shipped->maybe_global(name);
    if (own != nullptr && own->is_defined()) return to_shipped(*own, *context_.shipped, context_.object);
  }
  if (exported_by_vmlinux(name)) {
    d.treatment = Treatment::plain;
    d.name = name;
    d.name_space = context_.exports->find(name)->second.name_space;
    return d;
  }
  const elf::Symbol* in_vmlinux = context_.vmlinux->maybe_global(name);
  if (in_vmlinux != nullptr && in_vmlinux->is_defined()) return to_shipped(*in_vmlinux, *context_.vmlinux, "vmlinux");
  // Where only a part of the kernel is known (extract with an object file for its symbols), the module loader is the
  // one to tell: it refuses the module when nobody exports the name.
  if (context_.provided.count(name) != 0 || context_.partial_symbols) {
    d.treatment = Treatment::plain;
    d.name = name;
    return d;
  }
  const auto exported = context_.exports->find(name);
  if (exported == context_.exports->end() || context_.object == "vmlinux") {
    Decision missing = refuse("missing-symbol", fmt::format("the running kernel has no symbol {}", name),
                              "the patch may need another file of the same series, or a newer kernel");
    missing.missing = name;
    return missing;
  }
  if (!depends_on(exported->second.module)) {
    return refuse("new-dependency",
                  fmt::format("{} is exported by module {}, on which {} does not depend", name, exported->second.module,
                              context_.object),
                  "avoid the new dependency; it cannot be declared after the module was loaded");
  }
  d.treatment = Treatment::klp;
  d.klp = {context_.object, std::string(exported->second.module), name, 0};
  return d;
}

Decision ReferencePolicy::to_shipped(const elf::Symbol& symbol, const elf::SymbolIndex& index,
                                     const std::string& owner) const {
  const bool module = owner != "vmlinux";
  if (!elf::SymbolIndex::in_kallsyms(symbol, module)) {
    return refuse("missing-symbol", fmt::format("{} of {} is not in the kernel's symbol table", symbol.name, owner),
                  "avoid the reference");
  }
  if (symbol.section != nullptr && is_discarded(*symbol.section)) {
    return refuse("init-code",
                  fmt::format("{} of {} is boot-time code or data that is gone from memory", symbol.name, owner),
                  "do not refer to __init or __exit symbols from code that is patched");
  }
  Decision d;
  d.treatment = Treatment::klp;
  d.klp = {owner, owner, std::string(symbol.name), index.sympos(symbol)};
  d.shipped = &symbol;
  return d;
}

Decision ReferencePolicy::original(const Piece& patched) const {
  const Piece* original = context_.correlation->original_of(&patched);
  const std::string name(patched.name());
  if (context_.identity == nullptr) {
    return refuse("missing-symbol", fmt::format("{}: no shipped binary to look it up in", name),
                  "give --symbols or -k");
  }
  const elf::Symbol* shipped = context_.identity->shipped_symbol(*original);
  if (shipped == nullptr || !shipped->is_defined()) {
    return refuse("ambiguous-symbol",
                  fmt::format("{} cannot be told apart, or is not there, in the shipped {}", name, context_.object),
                  "use another symbol, or make the code independent of it");
  }
  if (!shipped->is_local() && context_.object == "vmlinux" && exported_by_vmlinux(shipped->name)) {
    Decision d;
    d.treatment = Treatment::plain;
    d.name = shipped->name;
    d.name_space = context_.exports->find(shipped->name)->second.name_space;
    return d;
  }
  return to_shipped(*shipped, *context_.shipped, context_.object);
}

Decision ReferencePolicy::decide_function(const Reference& reference, const Piece& from, bool in_table) const {
  const Piece* target = reference.piece;
  const Piece* leader = context_.patched->leader(target);
  const bool inside = leader == context_.patched->leader(&from);
  const bool exists = context_.correlation->original_of(target) != nullptr;
  const bool replaced = context_.replaced.count(leader) != 0;
  Decision direct;
  direct.treatment = Treatment::direct;
  direct.piece = target;
  if (context_.patched->arch().runs_before_patching_only(target->section->name)) return {};
  if (target->symbol == nullptr) {
    return refuse("unsupported-section", fmt::format("refers to code without a symbol in {}", target->section->name),
                  "report this code");
  }
  if (!exists && !replaced) return carry(target);
  if (replaced) {
    const bool address_taken = exists && !reference.branch && !in_table && reference.offset == 0 && target == leader;
    return address_taken ? original(*leader) : direct;
  }
  if (inside) return direct;  // parts of a carried function that is not redirected itself
  if (reference.offset != 0) {
    return refuse("unsupported-relocation",
                  fmt::format("refers into the middle of {}, which is not in the module", target->name()),
                  "report this code");
  }
  return original(*target);
}

/// `section + offset` may be the start of a variable or the end of the array before it (`p < array + 20`), which only
/// shared sections
/// (__read_mostly, per-cpu) have. It does not matter where the two lie side by side in the shipped binary as well.
bool ReferencePolicy::may_be_end_of_other(const Reference& reference) const {
  const Piece& next = *reference.piece;
  const elf::Relocation* r = reference.slot != nullptr ? reference.slot : reference.relocation;
  if (r == nullptr || !r->symbol->is_section() || reference.offset != 0 || next.offset == 0 ||
      next.kind != PieceKind::object)
    return false;
  if (context_.patched->arch().field_kind(*r).pc_relative) return false;  // a load or a store, never an end
  // Per-cpu addresses are offsets to which a base is added before anything is compared.
  if (next.section->name.starts_with(".data..percpu")) return false;
  const Piece* before = context_.patched->at(*next.section, next.offset - 1);
  if (before->kind != PieceKind::object || before->end() != next.offset) return false;
  const bool single =
      context_.debug != nullptr && context_.debug->single_values.count({before->section, before->offset}) != 0;
  if (before->size == 1 || single || is_private_static(*before)) return false;  // no array
  const Piece* old_before = context_.correlation->original_of(before);
  const Piece* old_next = context_.correlation->original_of(&next);
  if (old_before == nullptr || old_next == nullptr || context_.identity == nullptr) return true;
  const elf::Symbol* a = context_.identity->shipped_symbol(*old_before);
  const elf::Symbol* b = context_.identity->shipped_symbol(*old_next);
  return a == nullptr || b == nullptr || a->section != b->section || a->value + before->size != b->value;
}

Decision ReferencePolicy::decide_data(const Reference& reference) const {
  const Piece* target = reference.piece;
  if (may_be_end_of_other(reference)) {
    return refuse(
        "ambiguous-symbol",
        fmt::format("takes the address of {}, or of the end of what lies before it in {}: it cannot be told which",
                    target->name(), target->section->name),
        "declare new variables without a section of their own choice (e.g. drop __read_mostly)");
  }
  if (context_.anew.count(target) != 0) return carry(target);
  if (context_.correlation->original_of(target) != nullptr) return original(*target);
  if (is_private_static(*target) || target->kind == PieceKind::constant) return carry(target);
  if (target->kind == PieceKind::anonymous) {
    if (context_.patched->is_constant(*target->section) && !target->section->is_exec()) return carry(target);
    return refuse("unsupported-section", fmt::format("refers to unnamed data in {}", target->section->name),
                  "it cannot be told which variable of the running kernel it is; give it a name");
  }
  if (const Piece* old = context_.correlation->reset_original(target)) {
    return refuse(
        "static-local-reset",
        fmt::format("static variable {} is not {} of the running kernel any more (another type, size or place): its "
                    "value would be lost",
                    target->name(), old->name()),
        "keep the type, or use a new variable of another name and carry the value over in a callback");
  }
  if (context_.correlation->is_ambiguous(target)) {
    return refuse("ambiguous-symbol",
                  fmt::format("it cannot be told which static variable of the running kernel {} is", target->name()),
                  "give the variables different names, or compile with debug information");
  }
  return carry(target);
}

}  // namespace klp::diff
