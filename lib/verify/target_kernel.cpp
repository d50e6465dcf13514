#include "verify/target_kernel.h"

#include <algorithm>
#include <charconv>

#include "elf/symbol_index.h"
#include "support/bytes.h"
#include "support/error.h"

namespace klp::verify {
namespace {

std::string_view as_text(const elf::Section& section) {
  return {reinterpret_cast<const char*>(section.data.data()), section.data.size()};
}

/// The number behind `prefix` in the scan format `format`, "%55[^.]"; `otherwise` when it is not there.
size_t width_behind(std::string_view format, std::string_view prefix, size_t otherwise) {
  const size_t at = format.find(prefix);
  if (at == std::string_view::npos) return otherwise;
  format.remove_prefix(at + prefix.size());
  size_t width = otherwise;
  std::from_chars(format.data(), format.data() + format.size(), width);
  return width;
}

const elf::Symbol* maybe_defined(const elf::ElfObject& object, std::string_view name) {
  const auto all = object.symbols_named(name);
  return all.empty() ? nullptr : all.front();
}

/// The bytes of a linked image from `symbol` on.
std::span<const std::byte> data_at(const elf::Symbol& symbol) {
  const elf::Section& section = *symbol.section;
  return section.data.subspan(std::min<uint64_t>(symbol.value - section.address, section.data.size()));
}

/// Symbols that module kallsyms keep when the module's init is over (kernel/module/kallsyms.c: is_core_symbol).
bool is_core(const elf::Symbol& symbol, bool frees_init) {
  if (!symbol.is_defined() || !symbol.section->is_alloc()) return false;
  return !frees_init || !symbol.section->name.starts_with(".init");
}

}  // namespace

TargetKernel::TargetKernel(Pieces pieces) : pieces_(std::move(pieces)) {
  read_rules();
}

std::optional<std::string_view> TargetKernel::text_at(std::string_view text) const {
  for (const elf::Section& section : pieces_.vmlinux->sections()) {
    if (!section.name.starts_with(".rodata") || !section.has_data() || !section.is_alloc()) continue;
    const std::string_view all = as_text(section);
    const size_t at = all.find(text);
    if (at != std::string_view::npos) return all.substr(at, all.find('\0', at) - at);
  }
  return std::nullopt;
}

void TargetKernel::read_rules() {
  const elf::ElfObject& vmlinux = *pieces_.vmlinux;
  if (const elf::Symbol* magic = maybe_defined(vmlinux, "vermagic"))
    rules_.vermagic = read_c_string(data_at(*magic), 0);
  const auto size_of = [&](const char* name) {
    const auto found = pieces_.struct_sizes.find(name);
    return found == pieces_.struct_sizes.end() ? 0 : found->second;
  };
  rules_.module_struct_size = size_of("module");
  rules_.alt_instr_size = size_of("alt_instr");
  rules_.unique_sections_first = has_text("Only one .modinfo section must exist.");
  rules_.checks_symbol_sections = has_text("has an invalid section index");
  rules_.forbids_writable_code = has_text("has invalid WRITE|EXEC flags");
  rules_.wants_zero_fields = has_text("existing value is nonzero");
  rules_.looks_before_overflow = has_text("Skipping invalid relocation target");
  const elf::Symbol* clear = maybe_defined(vmlinux, "clear_relocate_add");
  // A weak one is the livepatch core's own, which does nothing.
  rules_.clears_relocations = clear != nullptr && clear->bind == elf::kStbGlobal;
  // The other way round: the weak one, kernel/module/main.c's, is what frees.
  const elf::Symbol* in_init = maybe_defined(vmlinux, "module_init_section");
  rules_.frees_init = in_init == nullptr || in_init->bind != elf::kStbGlobal;
  rules_.protects_modules = pieces_.config("STRICT_MODULE_RWX");
  rules_.relocates_late_only = has_text(".klp.arch.%");
  const auto source_has = [&](const char* file, const char* text) {
    return pieces_.source_has && pieces_.source_has(file, text);
  };
  rules_.takes_restored_calls = source_has("arch/powerpc/kernel/module_64.c", "== PPC_INST_LD_TOC");
  rules_.skips_percpu = source_has("kernel/livepatch/core.c", "klp_enable_patch") &&
                        !source_has("kernel/module/main.c", "infosec != info->index.pcpu");
  rules_.modversions = pieces_.config("MODVERSIONS");
  rules_.force_load = pieces_.config("MODULE_FORCE_LOAD");
  rules_.needs_signature = pieces_.config("MODULE_SIG_FORCE");
  rules_.any_namespace = pieces_.config("MODULE_ALLOW_MISSING_NAMESPACE_IMPORTS");
  if (const auto format = text_at(".klp.sym.%")) {
    rules_.object_name_width = width_behind(*format, ".klp.sym.%", rules_.object_name_width);
    rules_.symbol_name_width = width_behind(*format, "[^.].%", rules_.symbol_name_width);
  }
}

const elf::Export* TargetKernel::maybe_export(std::string_view name) const {
  const auto found = pieces_.exports->find(name);
  return found == pieces_.exports->end() ? nullptr : &found->second;
}

std::vector<const elf::Symbol*> TargetKernel::kallsyms(const std::string& object, std::string_view name,
                                                       bool live) const {
  std::vector<const elf::Symbol*> result;
  const bool vmlinux = object == "vmlinux";
  const elf::ElfObject* source = vmlinux ? pieces_.vmlinux : pieces_.module(object);
  if (source == nullptr || name.empty()) return result;
  for (const elf::Symbol* symbol : source->all_named(name)) {
    if (!elf::SymbolIndex::in_kallsyms(*symbol, !vmlinux)) continue;
    if (vmlinux || !live || is_core(*symbol, rules_.frees_init)) result.push_back(symbol);
  }
  if (vmlinux)
    std::stable_sort(result.begin(), result.end(), [](const auto* a, const auto* b) { return a->value < b->value; });
  return result;
}

const std::set<uint64_t>& TargetKernel::addresses_of(std::string_view prefix) const {
  const auto known = addresses_.find(prefix);
  if (known != addresses_.end()) return known->second;
  std::set<uint64_t>& addresses = addresses_[std::string(prefix)];
  for (const elf::Symbol& symbol : pieces_.vmlinux->symbols()) {
    if (symbol.is_defined() && symbol.name.starts_with(prefix)) addresses.insert(symbol.value);
  }
  return addresses;
}

elf::FtraceSite TargetKernel::ftrace_site(const std::string& object, const elf::Symbol& symbol) const {
  if (!symbol.is_defined() || symbol.section->name.starts_with(".init")) return elf::FtraceSite::none;
  const bool vmlinux = object == "vmlinux";
  const elf::ElfObject* shipped = vmlinux ? pieces_.vmlinux : pieces_.module(object);
  const elf::FtraceSite site = shipped == nullptr ? elf::FtraceSite::none : elf::ftrace_site(*shipped, symbol);
  // A module without a table has no function that ftrace knows.
  return site == elf::FtraceSite::unknown && !vmlinux ? elf::FtraceSite::none : site;
}

}  // namespace klp::verify
