// The module's init, that is klp_enable_patch with what the module's tables say, and modules that come later:
// kernel/livepatch/core.c (klp_init_patch, __klp_enable_patch, klp_module_coming) and patch.c (klp_patch_func).
#include <algorithm>
#include <set>

#include "elf/livepatch_content.h"
#include "support/bytes.h"
#include "verify/load_state.h"

namespace klp::verify {
namespace {

constexpr size_t kObjectNameLimit = 56;  // MODULE_NAME_LEN (include/linux/module.h, 64 bits)

PatchedObject& object_named(LoadState& s, const std::string& name) {
  const auto found =
      std::find_if(s.objects.begin(), s.objects.end(), [&](const PatchedObject& o) { return o.name == name; });
  return found == s.objects.end() ? s.objects.emplace_back(PatchedObject{name, {}}) : *found;
}

/// klp-diff's table as it is after relocation. Returns false when the module has none.
bool read_own_table(LoadState& s) {
  const uint32_t index = s.find_section(elf::kFuncsSection);
  if (index == 0) return false;
  const std::vector<std::byte>& table = s.sections[index].memory;
  for (uint64_t at = 0; at + elf::kFuncsEntrySize <= table.size(); at += elf::kFuncsEntrySize) {
    const auto object = read_le<uint64_t>(table, at), name = read_le<uint64_t>(table, at + 8);
    PatchedFunction function;
    function.new_function = read_le<uint64_t>(table, at + 16);
    function.sympos = read_le<uint64_t>(table, at + 24);
    function.named = name != 0;
    if (function.named) function.name = s.string_at(name);
    object_named(s, object == 0 ? "vmlinux" : s.string_at(object)).functions.push_back(function);
  }
  return true;
}

/// Tables of other makers, as far as they can be read without running the module.
void read_foreign_table(LoadState& s) {
  const elf::ElfObject module = elf::ElfObject::parse(s.module_name, s.file);
  elf::LivepatchMaker maker = elf::LivepatchMaker::unknown;
  const auto functions = elf::replaced_functions(module, maker);
  if (!functions) throw Unpredictable("what the module replaces is decided by its code");
  for (const elf::ReplacedFunction& f : *functions)
    object_named(s, f.object).functions.push_back({f.name, f.sympos, 1, true});
}

bool is_loaded(const LoadState& s, const std::string& object) {
  return object == "vmlinux" || s.situation.loaded.contains(object);
}

/// klp_init_object_loaded: relocations first, then every function of the object is looked for.
int init_loaded_object(LoadState& s, const PatchedObject& object) {
  if (object.name != "vmlinux" || s.rules().relocates_late_only) {
    if (const int error = write_object_relocations(s, object.name, false)) return error;
  }
  for (const PatchedFunction& function : object.functions) {
    const elf::Symbol* old_function = nullptr;
    uint64_t address = 0;
    if (const int error = find_object_symbol(s, object.name, function.name, function.sympos, old_function, address))
      return error;
  }
  return 0;
}

/// klp_init_object: each function has a directory of its own, named by function and position.
int init_object(LoadState& s, const PatchedObject& object) {
  if (object.name.size() >= kObjectNameLimit) return EINVAL;
  std::set<std::pair<std::string, uint64_t>> names;
  for (const PatchedFunction& function : object.functions) {
    if (!function.named || function.new_function == 0 || function.name.size() > s.rules().symbol_name_width)
      return EINVAL;
    const uint64_t sympos = std::max<uint64_t>(function.sympos, 1);
    if (names.emplace(function.name, sympos).second) continue;
    return s.refuse(EEXIST, "%s failed for %s with -EEXIST",
                    fmt::format("kobject_add_internal failed for {},{} with -EEXIST, don't try to register things with "
                                "the same name in the same directory.",
                                function.name, sympos));
  }
  return is_loaded(s, object.name) ? init_loaded_object(s, object) : 0;
}

/// klp_patch_object: ftrace must know every function.
int redirect(LoadState& s, const PatchedObject& object) {
  for (const PatchedFunction& function : object.functions) {
    const elf::Symbol* old_function = nullptr;
    uint64_t address = 0;
    const int error = find_object_symbol(s, object.name, function.name, function.sympos, old_function, address);
    if (error != 0) return error;
    const elf::FtraceSite site = s.kernel.ftrace_site(object.name, *old_function);
    if (site == elf::FtraceSite::ambiguous) {
      s.fault(
          fmt::format("{} is not redirected for sure: a function without a symbol stands behind it, whose ftrace site "
                      "the kernel may take for its own",
                      function.name));
    }
    if (site != elf::FtraceSite::none) continue;
    // 5.10 asks ftrace itself, which has no message of its own for it.
    if (!s.kernel.has_text("livepatch: failed to find location for function"))
      s.say("livepatch: failed to set ftrace filter",
            fmt::format("failed to set ftrace filter for function '{}' (-22)", function.name));
    s.say("livepatch: failed to find location for function",
          fmt::format("failed to find location for function '{}'", function.name));
    return EINVAL;
  }
  return 0;
}

/// A module whose init the kernel does not know of is loaded and does nothing.
bool has_init(LoadState& s) {
  const StateSection& module = s.sections[s.this_module];
  for (const StateSymbol& symbol : s.symbols) {
    if (!symbol.known || symbol.value == 0 || s.symbol_name(symbol) != "init_module") continue;
    for (uint64_t at = 0; at + 8 <= module.memory.size(); at += 8) {
      if (read_le<uint64_t>(module.memory, at) == symbol.value) return true;
    }
  }
  return false;
}

/// Late relocations for an object that the livepatch does not patch are never written.
void check_orphans(LoadState& s) {
  for (const StateSection& section : s.sections) {
    if ((section.header.flags & elf::kShfRelaLivepatch) == 0 || section.header.size < kRelocationSize) continue;
    const auto object = elf::klp_rela_object(s.section_name(section));
    if (!object || *object == "vmlinux") continue;
    const bool patched =
        std::any_of(s.objects.begin(), s.objects.end(), [&](const PatchedObject& o) { return o.name == *object; });
    if (!patched)
      s.fault(fmt::format("{}: never applied, the livepatch replaces nothing of {}", s.section_name(section), *object));
  }
}

}  // namespace

void clear_by_runtime(LoadState& s, const std::string& object) {
  const auto clears = [&](const StateSymbol& symbol) {
    if (!symbol.known || s.symbol_name(symbol) != "klp_diff_clear_when_gone") return false;
    const StateSection* section = s.maybe_at(symbol.value);
    return section != nullptr && section->memory[symbol.value - section->address] == std::byte{1};
  };
  if (std::none_of(s.symbols.begin(), s.symbols.end(), clears)) return;
  s.machine->put_back(s, object);
}

int enable_patch(LoadState& s) {
  s.early = false;
  if (!has_init(s)) {
    s.fault("the kernel finds no init function in the module: it would be loaded and do nothing");
    return 0;
  }
  s.machine->begin_init(s);
  if (!read_own_table(s)) read_foreign_table(s);
  check_orphans(s);
  if (!s.livepatch)
    return s.refuse(EINVAL, "livepatch: module %s is not marked",
                    fmt::format("module {} is not marked as a livepatch module", s.module_name));
  for (const PatchedObject& object : s.objects) {
    if (const int error = init_object(s, object)) return error;
  }
  for (const PatchedObject& object : s.objects) {
    if (!is_loaded(s, object.name)) continue;
    const int error = redirect(s, object);
    if (error == 0) continue;
    s.say("livepatch: failed to patch object", fmt::format("failed to patch object '{}'", object.name));
    s.say("livepatch: failed to enable patch", fmt::format("failed to enable patch '{}'", s.module_name));
    return error;
  }
  return 0;
}

int patch_arrived(LoadState& s, PatchedObject& object) {
  s.situation.loaded.insert(object.name);
  s.coming = object.name;
  int error = init_loaded_object(s, object);
  if (error != 0) {
    s.say("livepatch: failed to initialize patch",
          fmt::format("failed to initialize patch '{}' for module '{}' (-{})", s.module_name, object.name, error));
  } else {
    error = redirect(s, object);
    if (error != 0) clear_by_runtime(s, object.name);
    if (error != 0)
      s.say("livepatch: failed to apply patch",
            fmt::format("failed to apply patch '{}' to module '{}' (-{})", s.module_name, object.name, error));
  }
  s.coming.clear();
  if (error != 0) s.situation.loaded.erase(object.name);
  return error;
}

}  // namespace klp::verify
