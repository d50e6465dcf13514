// Which functions does a livepatch replace? No ELF structure says it: the module's init hands a struct klp_patch to the
// kernel. But the generators leave their tables in the file, and a livepatch written by hand has static arrays whose
// pointers are relocations.
//
//   klp-diff   .klp_diff.funcs   {object, name, new function, sympos}, 32 bytes (klp_abi.h)
//   kpatch     .kpatch.funcs     {new, new size, old, old size, sympos, name, object}, 56 bytes
//   klp-build  .init.klp_objects {name, funcs, callbacks, count}, 64 bytes, and .init.klp_funcs {name, new function,
//   sympos}, 24 bytes
//              (Linux 7.3, include/linux/livepatch_external.h)
//   by hand    struct klp_patch {mod, objs} -> klp_object[] {name, funcs} -> klp_func[] {name, new function, sympos}
//
// The sizes of the last ones depend on the kernel's config. They follow from the arrays themselves: an array ends with
// an empty element, so its symbol is one element longer than the elements that hold pointers. What does not fit exactly
// is "not known".
#include <algorithm>

#include "elf/klp_abi.h"
#include "elf/livepatch_content.h"
#include "support/bytes.h"
#include "support/error.h"

namespace klp::elf {
namespace {

/// Where a pointer in the module's data leads, by its relocation.
struct Target {
  const Section* section = nullptr;
  uint64_t offset = 0;
  const Symbol* symbol = nullptr;  // the named symbol of the relocation, or the one that starts at the offset
};

const Relocation* maybe_relocation_at(const Section& section, uint64_t offset) {
  const auto found = std::lower_bound(section.relocations.begin(), section.relocations.end(), offset,
                                      [](const Relocation& r, uint64_t at) { return r.offset < at; });
  return found != section.relocations.end() && found->offset == offset ? &*found : nullptr;
}

std::optional<Target> pointer_at(const Section& section, uint64_t offset) {
  const Relocation* relocation = maybe_relocation_at(section, offset);
  if (relocation == nullptr || !relocation->symbol->is_defined()) return std::nullopt;
  Target target{relocation->symbol->section, relocation->symbol->value + static_cast<uint64_t>(relocation->addend),
                nullptr};
  if (target.offset > target.section->size) return std::nullopt;
  for (const Symbol* symbol : target.section->symbols) {
    if (symbol->value == target.offset && (symbol->is_function() || symbol->is_object())) target.symbol = symbol;
  }
  if (!relocation->symbol->is_section() && relocation->addend == 0) target.symbol = relocation->symbol;
  return target;
}

std::optional<std::string> string_at(const Section& section, uint64_t offset) {
  const auto target = pointer_at(section, offset);
  if (!target || target->section->is_exec() || target->offset >= target->section->data.size()) return std::nullopt;
  return std::string(read_c_string(target->section->data, target->offset));
}

uint64_t word_at(const Section& section, uint64_t offset) {
  return section.has_data() ? read_le<uint64_t>(section.data, offset) : 0;
}

/// Offsets of the fields of one element that names a function.
struct FuncLayout {
  uint64_t size, name, new_function, sympos;
  std::optional<uint64_t> object;  // without it, the caller knows the object
};

/// Reads an element; nothing when it is not one. An element without pointers is the caller's to skip.
std::optional<ReplacedFunction> read_element(const Section& section, uint64_t at, const FuncLayout& layout,
                                             std::string object) {
  ReplacedFunction function;
  function.object = std::move(object);
  if (layout.object) function.object = string_at(section, at + *layout.object).value_or("vmlinux");
  const auto name = string_at(section, at + layout.name);
  const auto new_function = pointer_at(section, at + layout.new_function);
  if (!name || name->empty() || !new_function || !new_function->section->is_exec() || new_function->symbol == nullptr)
    return std::nullopt;
  function.name = *name;
  function.new_function = new_function->symbol->name;
  function.new_size = new_function->symbol->size;
  function.sympos = word_at(section, at + layout.sympos);
  return function;
}

bool is_empty_element(const Section& section, uint64_t at, uint64_t size) {
  const auto first = std::lower_bound(section.relocations.begin(), section.relocations.end(), at,
                                      [](const Relocation& r, uint64_t offset) { return r.offset < offset; });
  return first == section.relocations.end() || first->offset >= at + size;
}

using Functions = std::vector<ReplacedFunction>;

/// Elements from `at` to `end`; false when one of them is not what it should be.
bool read_elements(const Section& section, uint64_t at, uint64_t end, const FuncLayout& layout,
                   const std::string& object, Functions& to) {
  if (end > section.data.size() || at > end || (end - at) % layout.size != 0) return false;
  for (; at < end; at += layout.size) {
    if (is_empty_element(section, at, layout.size)) continue;
    auto function = read_element(section, at, layout, object);
    if (!function) return false;
    to.push_back(std::move(*function));
  }
  return true;
}

/// All sections of that name as one flat table that names its objects itself.
std::optional<Functions> read_flat(const ElfObject& module, std::string_view name, const FuncLayout& layout) {
  Functions functions;
  for (const Section& section : module.sections()) {
    if (section.name == name && !read_elements(section, 0, section.size, layout, {}, functions)) return std::nullopt;
  }
  return functions;
}

std::optional<Functions> read_klp_build(const ElfObject& module, const Section& objects) {
  constexpr uint64_t kObjectSize = 64, kCountOffset = 56;
  constexpr FuncLayout kLayout{24, 0, 8, 16, std::nullopt};
  Functions functions;
  if (module.maybe_section(".init.klp_funcs") == nullptr || objects.size % kObjectSize != 0) return std::nullopt;
  for (uint64_t at = 0; at < objects.size; at += kObjectSize) {
    const auto funcs = pointer_at(objects, at + 8);
    if (!funcs) return std::nullopt;
    const uint64_t count = read_le<uint32_t>(objects.data, at + kCountOffset);
    const std::string object = string_at(objects, at).value_or("vmlinux");
    if (!read_elements(*funcs->section, funcs->offset, funcs->offset + count * kLayout.size, kLayout, object,
                       functions))
      return std::nullopt;
  }
  return functions;
}

/// An array by its symbol. `stride`: its bytes divided by the elements that hold a pointer of the wanted kind at
/// `field`, and the empty one.
struct Array {
  const Section* section;
  uint64_t begin, end, stride;
};

template <typename IsWanted>
std::optional<Array> maybe_array(const Target& target, uint64_t field, IsWanted is_wanted) {
  const Symbol* symbol = target.symbol;
  if (symbol == nullptr || symbol->size == 0 || symbol->value + symbol->size > target.section->size)
    return std::nullopt;
  Array array{target.section, symbol->value, symbol->value + symbol->size, 0};
  std::vector<uint64_t> found;
  for (const Relocation& relocation : target.section->relocations) {
    if (relocation.offset < array.begin || relocation.offset >= array.end) continue;
    const auto to = pointer_at(*target.section, relocation.offset);
    if (to && is_wanted(*to)) found.push_back(relocation.offset - array.begin);
  }
  if (symbol->size % (found.size() + 1) != 0) return std::nullopt;
  array.stride = symbol->size / (found.size() + 1);
  for (size_t i = 0; i < found.size(); ++i) {
    if (found[i] != i * array.stride + field) return std::nullopt;
  }
  return array;
}

std::optional<Functions> read_patch(const Target& objs) {
  const auto is_func_array = [](const Target& to) { return to.section->is_writable() && to.symbol != nullptr; };
  const auto is_code = [](const Target& to) { return to.section->is_exec(); };
  const auto objects = maybe_array(objs, 8, is_func_array);
  if (!objects || objects->stride < 64) return std::nullopt;
  Functions functions;
  for (uint64_t at = objects->begin; at + objects->stride < objects->end; at += objects->stride) {
    const auto target = pointer_at(*objects->section, at + 8);
    const auto funcs = target ? maybe_array(*target, 8, is_code) : std::nullopt;
    if (!funcs || funcs->stride < 24) return std::nullopt;
    const std::string object = string_at(*objects->section, at).value_or("vmlinux");
    const FuncLayout layout{funcs->stride, 0, 8, 16, std::nullopt};
    if (!read_elements(*funcs->section, funcs->begin, funcs->end, layout, object, functions)) return std::nullopt;
  }
  return functions;
}

/// A struct klp_patch is found by its first member, THIS_MODULE, and its second, the objects.
std::optional<Functions> read_by_hand(const ElfObject& module) {
  std::optional<Functions> result;
  for (const Section& section : module.sections()) {
    if (!section.is_alloc() || !section.is_writable() || section.name.starts_with(".gnu.linkonce")) continue;
    for (const Relocation& relocation : section.relocations) {
      if (relocation.symbol->name != "__this_module") continue;
      const auto objs = pointer_at(section, relocation.offset + 8);
      if (!objs || !objs->section->is_writable()) continue;
      if (result) return std::nullopt;  // two candidates
      result = read_patch(*objs);
      if (!result) return std::nullopt;
    }
  }
  return result && !result->empty() ? result : std::nullopt;
}

}  // namespace

std::optional<std::vector<ReplacedFunction>> replaced_functions(const ElfObject& module, LivepatchMaker& maker) {
  const auto attempt = [&maker](LivepatchMaker who, auto&& read) -> std::optional<Functions> {
    maker = who;
    try {
      return read();
    } catch (const Error&) {
      return std::nullopt;  // a string or a number outside its section: not the layout that we know
    }
  };
  if (module.maybe_section(kFuncsSection) != nullptr) {
    return attempt(LivepatchMaker::klp_diff, [&] {
      return read_flat(module, kFuncsSection, {kFuncsEntrySize, 8, 16, 24, 0});
    });
  }
  if (module.maybe_section(".kpatch.funcs") != nullptr) {
    return attempt(LivepatchMaker::kpatch, [&] { return read_flat(module, ".kpatch.funcs", {56, 40, 0, 32, 48}); });
  }
  if (const Section* objects = module.maybe_section(".init.klp_objects")) {
    return attempt(LivepatchMaker::klp_build, [&] { return read_klp_build(module, *objects); });
  }
  auto functions = attempt(LivepatchMaker::by_hand, [&] { return read_by_hand(module); });
  if (!functions) maker = LivepatchMaker::unknown;
  return functions;
}

}  // namespace klp::elf
