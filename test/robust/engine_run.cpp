#include "engine_run.h"

#include <cstring>

#include "diff/build_facts.h"
#include "diff/emit.h"
#include "diff/engine.h"
#include "diff/image_compare.h"
#include "elf/klp_finalize.h"
#include "elf/livepatch_content.h"
#include "support/error.h"

namespace klp::test {
namespace {

template <typename Body>
std::string outcome_of(Body&& body) {
  try {
    return body();
  } catch (const Error& error) {
    return error.what();
  }
}

/// The tables of Linux 6.1 for x86_64; the kernel's BTF says it otherwise.
diff::TableSizes table_sizes() {
  diff::TableSizes sizes;
  sizes.structs = {{"alt_instr", 12},       {"paravirt_patch_site", 16},   {"jump_entry", 16},
                   {"static_call_site", 8}, {"exception_table_entry", 12}, {"bug_entry", 12}};
  return sizes;
}

elf::Exports exports() {
  elf::Exports result;
  for (const char* name : {"__fentry__", "printk", "memcpy"}) result[name] = {1, "vmlinux", false, ""};
  result["of_a_module"] = {1, "other", true, "SPACE"};
  return result;
}

std::string extract(const elf::ElfObject& original, const elf::ElfObject& patched) {
  static const elf::Exports known = exports();
  const elf::SymbolIndex shipped(original);
  diff::UnitInput input;
  input.original = &original;
  input.patched = &patched;
  input.unit = "unit.o";
  input.shipped = input.vmlinux = &shipped;
  input.exports = &known;
  input.table_sizes = table_sizes();
  input.partial_symbols = true;  // the objects stand for the kernel
  const diff::UnitResult result = diff::analyse(input);
  diff::new_globals(original, patched);
  diff::undefined_names(patched);
  if (result.findings.has_refusal()) {
    std::string reasons = "refused";
    for (const Finding& f : result.findings.list()) reasons += fmt::format("\n{} {}: {}", f.code, f.symbol, f.message);
    return reasons;
  }
  if (!result.changed) return "unchanged";
  diff::dump(result.plan);
  const auto bytes = diff::emit(result.plan).serialize();
  try {
    elf::ElfObject::parse("written", bytes);
  } catch (const Error& error) {
    throw std::logic_error(std::string("the object that was written cannot be read: ") + error.what());
  }
  return "ok";
}

}  // namespace

std::string run_parse(const Bytes& object) {
  return outcome_of([&]() -> std::string {
    elf::ElfObject::parse("symbols only", object, elf::ElfObject::Want::symbols_only);
    const auto parsed = elf::ElfObject::parse("object", object);
    parsed.build_id();
    for (const elf::Section& s : parsed.sections()) parsed.maybe_section_symbol(s);
    const elf::SymbolIndex index(parsed);
    for (const elf::Symbol& s : parsed.symbols()) parsed.symbols_named(s.name);
    return "ok";
  });
}

std::string run_extract(const Bytes& original, const Bytes& patched) {
  return outcome_of([&] {
    const auto a = elf::ElfObject::parse("original.o", original);
    const auto b = elf::ElfObject::parse("patched.o", patched);
    return extract(a, b);
  });
}

std::string run_compare(const Bytes& before, const Bytes& after) {
  const std::string images = outcome_of([&]() -> std::string {
    const auto a = elf::ElfObject::parse("before", before, elf::ElfObject::Want::allocated);
    const auto b = elf::ElfObject::parse("after", after, elf::ElfObject::Want::allocated);
    diff::compare_images(a, b);
    diff::compare_exports(a, b);
    diff::compiler_of(a);
    return "ok";
  });
  const std::string units = outcome_of([&]() -> std::string {
    const auto a = elf::ElfObject::parse("before.o", before);
    const auto b = elf::ElfObject::parse("after.o", after);
    if (a.type() != 1 || b.type() != 1) return "ok";
    diff::compare_units(a, b);
    diff::compare_types(elf::TypeTable::from_dwarf(a), elf::TypeTable::from_dwarf(b));
    return "ok";
  });
  return images == "ok" ? units : images;
}

std::string run_module(const Bytes& module) {
  const std::string inspected = outcome_of([&]() -> std::string {
    elf::livepatch_content(elf::ElfObject::parse("module.ko", module));
    return "ok";
  });
  const std::string finalised = outcome_of([&]() -> std::string {
    elf::finalized(elf::ElfObject::parse("module.ko", module)).serialize();
    return "ok";
  });
  return inspected == "ok" ? finalised : inspected;
}

Bytes join(const Bytes& original, const Bytes& patched) {
  Bytes result(4);
  const auto size = static_cast<uint32_t>(original.size());
  std::memcpy(result.data(), &size, 4);
  result.insert(result.end(), original.begin(), original.end());
  result.insert(result.end(), patched.begin(), patched.end());
  return result;
}

std::string run_joined(std::span<const std::byte> input) {
  if (input.size() < 4) return "too short";
  uint32_t size = 0;
  std::memcpy(&size, input.data(), 4);
  const auto rest = input.subspan(4);
  if (size >= rest.size()) {
    const Bytes both(rest.begin(), rest.end());
    return run_extract(both, both);
  }
  const auto cut = rest.begin() + static_cast<std::ptrdiff_t>(size);
  return run_extract(Bytes(rest.begin(), cut), Bytes(cut, rest.end()));
}

}  // namespace klp::test
