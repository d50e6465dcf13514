// Callbacks and states of a finished livepatch, from the tables of its maker:
//
//   klp-diff   .klp_diff.callbacks        {object, function, kind}, 24 bytes; .klp_diff.states {id, version}, 16 bytes
//   kpatch     .kpatch.callbacks.KIND     {function, object}, 16 bytes, zeros between those of different units
//   klp-build  .init.klp_objects          {name, funcs, callbacks[4], ...}, 64 bytes (Linux 7.3, livepatch_external.h)
//
// A livepatch written by hand has them among the fields of its own structures, whose layout the file does not say.
#include <algorithm>

#include "elf/klp_abi.h"
#include "elf/livepatch_content.h"
#include "support/bytes.h"
#include "support/error.h"

namespace klp::elf {
namespace {

const Relocation* maybe_pointer(const Section& section, uint64_t offset) {
  const auto found = std::lower_bound(section.relocations.begin(), section.relocations.end(), offset,
                                      [](const Relocation& r, uint64_t at) { return r.offset < at; });
  if (found == section.relocations.end() || found->offset != offset || !found->symbol->is_defined()) return nullptr;
  return &*found;
}

std::string object_at(const Section& section, uint64_t offset) {
  const Relocation* r = maybe_pointer(section, offset);
  if (r == nullptr) return "vmlinux";
  return std::string(read_c_string(r->symbol->section->data, r->symbol->value + static_cast<uint64_t>(r->addend)));
}

std::string function_at(const Section& section, uint64_t offset) {
  const Relocation* r = maybe_pointer(section, offset);
  if (r == nullptr) return {};
  const uint64_t value = r->symbol->value + static_cast<uint64_t>(r->addend);
  for (const Symbol* s : r->symbol->section->symbols) {
    if (s->is_function() && s->value == value) return std::string(s->name);
  }
  return {};
}

class CallbackReader {
 public:
  explicit CallbackReader(LivepatchContent& content) : content_(content) {}

  void read(const Section& section) {
    if (section.name == kCallbacksSection) read_own(section);
    if (section.name == kStatesSection) read_states(section);
    if (section.name == ".init.klp_objects") read_klp_build(section);
    for (const CallbackKind kind : kCallbackKinds) {
      if (section.name == fmt::format(".kpatch.callbacks.{}", to_string(kind))) read_kpatch(section, kind);
    }
  }

 private:
  void add(const Section& section, uint64_t at, std::string object, CallbackKind kind, std::string function) {
    if (function.empty())
      content_.faults.push_back(
          fmt::format("{} +{:#x}: a callback that is no function of the module", section.name, at));
    else
      content_.callbacks.push_back({std::move(object), std::string(to_string(kind)), std::move(function)});
  }

  void read_own(const Section& section) {
    for (uint64_t at = 0; at + kCallbacksEntrySize <= section.data.size(); at += kCallbacksEntrySize) {
      const auto kind = read_le<uint64_t>(section.data, at + 16);
      if (kind >= kCallbackKinds.size())
        content_.faults.push_back(fmt::format("{} +{:#x}: unknown kind of callback {}", section.name, at, kind));
      else
        add(section, at, object_at(section, at), kCallbackKinds[kind], function_at(section, at + 8));
    }
  }

  void read_states(const Section& section) {
    for (uint64_t at = 0; at + kStatesEntrySize <= section.data.size(); at += kStatesEntrySize) {
      content_.states.push_back({read_le<uint64_t>(section.data, at), read_le<uint64_t>(section.data, at + 8)});
    }
  }

  void read_kpatch(const Section& section, CallbackKind kind) {
    for (uint64_t at = 0; at + 8 <= section.size; at += 8) {
      const Relocation* r = maybe_pointer(section, at);
      if (r != nullptr && r->symbol->section->is_exec())
        add(section, at, object_at(section, at + 8), kind, function_at(section, at));
    }
  }

  void read_klp_build(const Section& section) {
    for (uint64_t object = 0; object + 64 <= section.size; object += 64) {
      for (const CallbackKind kind : kCallbackKinds) {
        const uint64_t at = object + 16 + 8 * static_cast<uint64_t>(kind);
        if (maybe_pointer(section, at) != nullptr)
          add(section, at, object_at(section, object), kind, function_at(section, at));
      }
    }
  }

  LivepatchContent& content_;
};

}  // namespace

void read_callbacks(const ElfObject& module, LivepatchContent& content) {
  CallbackReader reader(content);
  for (const Section& section : module.sections()) {
    with_context(std::string(section.name), [&] { reader.read(section); });
  }
}

}  // namespace klp::elf
