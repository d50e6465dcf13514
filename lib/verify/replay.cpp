#include "verify/replay.h"

#include <algorithm>

#include "support/bytes.h"

namespace klp::verify {
namespace {

/// The names in a module's depends=, read from the start of a .modinfo section.
std::set<std::string> depends_of(std::span<const std::byte> modinfo) {
  std::set<std::string> names;
  constexpr std::string_view kTag = "depends=";
  for (uint64_t at = 0; at < modinfo.size();) {
    const std::string_view entry = read_c_string(modinfo, at);
    at += entry.size() + 1;
    if (!entry.starts_with(kTag)) continue;
    std::string_view list = entry.substr(kTag.size());
    while (!list.empty()) {
      const size_t comma = std::min(list.find(','), list.size());
      std::string name(list.substr(0, comma));
      std::replace(name.begin(), name.end(), '-', '_');
      if (!name.empty()) names.insert(name);
      list.remove_prefix(std::min(comma + 1, list.size()));
    }
  }
  return names;
}

/// Adds a module and what it needs, in turn.
void add_with_needs(const TargetKernel& kernel, const std::string& module, std::set<std::string>& all) {
  if (!all.insert(module).second) return;
  const elf::ElfObject* object = kernel.module(module);
  const elf::Section* modinfo = object == nullptr ? nullptr : object->maybe_section(".modinfo");
  if (modinfo == nullptr) return;
  for (const std::string& needed : depends_of(modinfo->data)) add_with_needs(kernel, needed, all);
}

/// What the livepatch needs before it can be loaded at all. A file that is no ELF object needs nothing.
std::set<std::string> own_needs(const TargetKernel& kernel, const std::vector<std::byte>& file) {
  std::set<std::string> all;
  try {
    const elf::ElfObject module = elf::ElfObject::parse("the livepatch", file, elf::ElfObject::Want::symbols_only);
    if (const elf::Section* modinfo = module.maybe_section(".modinfo")) {
      for (const std::string& needed : depends_of(modinfo->data)) add_with_needs(kernel, needed, all);
    }
  } catch (const Error&) {
    all.clear();  // the model says what is wrong with it
  }
  return all;
}

class Replay {
 public:
  Replay(const TargetKernel& kernel, const std::vector<std::byte>& file) : kernel_(kernel), file_(file) {}

  std::vector<ReplayedEvent> run() {
    const std::set<std::string> needs = own_needs(kernel_, file_);
    Loader first(kernel_, file_, {needs, {}});
    if (!add("load", first.load())) return std::move(events_);
    std::set<std::string> there = needs;
    bool modules = false;
    for (const std::string& object : first.patched_objects()) {
      if (object == "vmlinux") continue;
      modules = true;
      if (!needs.contains(object)) live(first, object, needs);
      add_with_needs(kernel_, object, there);
    }
    if (modules) {
      Loader second(kernel_, file_, {there, {}});
      add("load, with the modules there", second.load());
    }
    return std::move(events_);
  }

 private:
  void live(Loader& loader, const std::string& module, const std::set<std::string>& already) {
    if (kernel_.module(module) == nullptr) {
      LoadResult result;
      result.outcome = Outcome::unpredictable;
      result.reason = "the kernel ships no module " + module;
      add(module + " comes", result);
      return;
    }
    std::set<std::string> all = already;
    add_with_needs(kernel_, module, all);
    for (const std::string& needed : all) {
      if (needed != module && !already.contains(needed)) loader.module_arrives(needed);
    }
    for (const char* when : {" comes", " comes again", " comes a third time"}) {
      if (!add(module + when, loader.module_arrives(module))) return;
      if (!add(module + " goes", loader.module_leaves(module))) return;
    }
  }

  bool add(std::string what, LoadResult result) {
    std::erase_if(result.faults, [&](const std::string& fault) { return !told_.insert(fault).second; });
    events_.push_back({std::move(what), std::move(result)});
    return events_.back().result.outcome == Outcome::accepted;
  }

  const TargetKernel& kernel_;
  const std::vector<std::byte>& file_;
  std::vector<ReplayedEvent> events_;
  std::set<std::string> told_;
};

}  // namespace

std::vector<ReplayedEvent> replay(const TargetKernel& kernel, const std::vector<std::byte>& file) {
  return Replay(kernel, file).run();
}

}  // namespace klp::verify
