#include "verify/loader.h"

#include <algorithm>

#include "verify/load_state.h"

namespace klp::verify {

std::string_view to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::accepted:
      return "accepted";
    case Outcome::refused:
      return "refused";
    case Outcome::unpredictable:
      break;
  }
  return "unpredictable";
}

void LoadState::say(std::string_view literal, std::string text) {
  if (kernel.has_text(literal)) result.messages.push_back(std::move(text));
}

int LoadState::refuse(int error, std::string_view literal, std::string text) {
  say(literal, std::move(text));
  return error;
}

std::string_view LoadState::section_name(const StateSection& section) const {
  return raw_string(file, sections[names].header.offset + section.header.name);
}

std::string_view LoadState::symbol_name(const StateSymbol& symbol) const {
  return raw_string(file, sections[strtab].header.offset + symbol.raw.name);
}

uint32_t LoadState::find_section(std::string_view name) const {
  for (uint32_t i = 1; i < sections.size(); ++i) {
    if ((sections[i].header.flags & elf::kShfAlloc) != 0 && section_name(sections[i]) == name) return i;
  }
  return 0;
}

std::span<const std::byte> LoadState::content(const StateSection& section) const {
  if (section.in_memory) return section.memory;
  if (!early) throw Unpredictable(fmt::format("{} is read when the file's copy is gone", section_name(section)));
  return raw_part(file, section.header.offset, section.header.size);
}

StateSection* LoadState::maybe_at(uint64_t address, uint64_t size) {
  for (StateSection& section : sections) {
    if (!section.in_memory || address < section.address) continue;
    const uint64_t offset = address - section.address;
    if (offset < section.memory.size() && section.memory.size() - offset >= size) return &section;
  }
  return nullptr;
}

std::string LoadState::string_at(uint64_t address) {
  const StateSection* section = maybe_at(address);
  if (section == nullptr) throw Unpredictable(fmt::format("a name is read at {:#x}, outside the module", address));
  return std::string(raw_string(section->memory, address - section->address));
}

Loader::Loader(const TargetKernel& kernel, std::vector<std::byte> file, Situation situation)
    : state_(std::make_unique<LoadState>(kernel, std::move(file), std::move(situation))) {}
Loader::~Loader() = default;

/// Runs `step`, which sets result.step and returns an errno, and makes its result.
template <typename Step>
LoadResult Loader::follow(Step step) {
  state_->result = {};
  try {
    const int error = step();
    state_->result.error = error;
    state_->result.outcome = error == 0 ? Outcome::accepted : Outcome::refused;
    if (error == 0) state_->result.step.clear();
  } catch (const Unpredictable& why) {
    state_->result.outcome = Outcome::unpredictable;
    state_->result.reason = why.what();
  }
  return state_->result;
}

LoadResult Loader::load() {
  LoadState& s = *state_;
  const std::vector<std::pair<const char*, std::function<int(LoadState&)>>> steps = {
      {"ELF checks", check_elf},          {".modinfo and versions", check_module_info},
      {"section layout", move_sections},  {"imported symbols", resolve_symbols},
      {"relocations", apply_relocations}, {"tables", process_tables},
      {"livepatch", enable_patch}};
  return follow([&] {
    for (const auto& [name, step] : steps) {
      s.result.step = name;
      if (const int error = step(s)) return error;
    }
    return 0;
  });
}

LoadResult Loader::module_arrives(const std::string& module) {
  LoadState& s = *state_;
  return follow([&] {
    s.result.step = "applying the livepatch to " + module;
    for (PatchedObject& object : s.objects) {
      if (object.name != module || module == "vmlinux") continue;
      const int error = patch_arrived(s, object);
      if (error == 0) continue;
      s.say("patch '%s' failed for module",
            fmt::format("patch '{0}' failed for module '{1}', refusing to load module '{1}'", s.module_name, module));
      return error;
    }
    s.situation.loaded.insert(module);
    return 0;
  });
}

LoadResult Loader::module_leaves(const std::string& module) {
  LoadState& s = *state_;
  return follow([&] {
    s.result.step = "undoing the relocations of " + module;
    const bool patched = std::any_of(s.objects.begin(), s.objects.end(),
                                     [&](const PatchedObject& object) { return object.name == module; });
    if (patched) clear_by_runtime(s, module);
    if (patched && s.rules().clears_relocations) write_object_relocations(s, module, true);
    s.situation.loaded.erase(module);
    return 0;
  });
}

std::vector<std::string> Loader::patched_objects() const {
  std::vector<std::string> names;
  for (const PatchedObject& object : state_->objects) names.push_back(object.name);
  return names;
}

std::vector<LoadedSection> Loader::sections() const {
  std::vector<LoadedSection> result;
  for (const StateSection& section : state_->sections) {
    if (!section.in_memory) continue;
    LoadedSection& loaded = result.emplace_back();
    loaded.name = state_->section_name(section);
    loaded.flags = section.header.flags;
    loaded.address = section.address;
    loaded.memory = section.memory;
    loaded.unknown = section.unknown;
    for (size_t i = 0; i < loaded.unknown.size(); ++i) loaded.unknown[i] = loaded.unknown[i] || section.rewritten[i];
  }
  return result;
}

}  // namespace klp::verify
