#include "diff/author_marks.h"

#include <algorithm>
#include <map>

#include "support/bytes.h"
#include "support/error.h"

namespace klp::diff {
namespace {

constexpr std::string_view kCallbacks = ".kpatch.callbacks.";
constexpr std::string_view kIgnoredFunctions = ".kpatch.ignore.functions";
constexpr std::string_view kIgnoredSections = ".kpatch.ignore.sections";
constexpr std::string_view kForced = ".kpatch.force";

Finding refusal(std::string_view symbol, std::string message, std::string hint) {
  return {Severity::refusal, "callback", {}, {}, std::string(symbol), std::move(message), std::move(hint)};
}

std::optional<elf::CallbackKind> kind_of(std::string_view section) {
  if (!section.starts_with(kCallbacks)) return std::nullopt;
  section.remove_prefix(kCallbacks.size());
  for (const elf::CallbackKind kind : elf::kCallbackKinds) {
    if (section == elf::to_string(kind)) return kind;
  }
  fail("section {}{}: no such kind of callback", kCallbacks, section);
}

class MarksReader {
 public:
  MarksReader(const Pieces& patched, Findings& findings) : patched_(patched), findings_(findings) {}

  AuthorMarks read() {
    for (const elf::Section& section : patched_.object().sections()) {
      with_context(std::string(section.name), [&] { read_section(section); });
    }
    // The compiler's order of variables means nothing.
    std::sort(marks_.callbacks.begin(), marks_.callbacks.end(),
              [](const auto& a, const auto& b) { return a.kind < b.kind; });
    std::sort(marks_.states.begin(), marks_.states.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
    return std::move(marks_);
  }

 private:
  void read_section(const elf::Section& section) {
    if (section.name == elf::kStatesSection) return read_states(section);
    const auto kind = kind_of(section.name);
    const bool pointers = kind || section.name == kIgnoredFunctions || section.name == kForced;
    if (!pointers && section.name != kIgnoredSections) return;
    for (const elf::Relocation& r : section.relocations) {
      if (patched_.arch().field_kind(r).width == 0) continue;
      const Reference reference = patched_.resolve(r);
      if (!pointers) {
        marks_.ignored_sections.insert(text_of(reference));
      } else if (const Piece* function = function_of(reference, section); function != nullptr) {
        add(kind, section, *function);
      }
    }
  }

  void add(std::optional<elf::CallbackKind> kind, const elf::Section& section, const Piece& function) {
    if (kind) {
      add_callback(*kind, function);
    } else if (section.name == kForced) {
      marks_.forced.push_back(&function);
    } else {
      marks_.ignored_functions.insert(&function);
    }
  }

  /// The function that a pointer means; null, with a refusal, when another file has it.
  const Piece* function_of(const Reference& reference, const elf::Section& section) {
    if (reference.kind == Reference::Kind::external) {
      findings_.add(refusal(reference.symbol->name,
                            fmt::format("named in {}, but this file only declares it", section.name),
                            "use the macro in the file that has the function"));
      return nullptr;
    }
    check(reference.kind == Reference::Kind::piece && reference.piece->kind == PieceKind::function &&
              reference.offset == 0,
          "holds something else than pointers to functions");
    return patched_.leader(reference.piece);
  }

  static std::string text_of(const Reference& reference) {
    if (reference.kind == Reference::Kind::string) return std::string(reference.string);
    check(reference.kind == Reference::Kind::piece && reference.piece->section->has_data() && reference.offset >= 0,
          "holds something else than pointers to names");
    return std::string(read_c_string(reference.piece->data(), static_cast<uint64_t>(reference.offset)));
  }

  void add_callback(elf::CallbackKind kind, const Piece& function) {
    for (const AuthorMarks::Callback& other : marks_.callbacks) {
      if (other.kind != kind) continue;
      findings_.add(refusal(
          function.name(),
          fmt::format("this file has two {}s: {} and {}", callback_text(kind), other.function->name(), function.name()),
          "an object has one of each kind: call both functions from one"));
      return;
    }
    marks_.callbacks.push_back({kind, &function});
  }

  void read_states(const elf::Section& section) {
    check(section.has_data() && section.relocations.empty() && section.size % elf::kStatesEntrySize == 0,
          "holds something else than pairs of an id and a version");
    for (uint64_t at = 0; at < section.size; at += elf::kStatesEntrySize) {
      const PlanState state{read_le<uint64_t>(section.data, at), read_le<uint64_t>(section.data, at + 8)};
      check(state.id != 0 && state.version <= UINT32_MAX, "state {}: version {} cannot be", state.id, state.version);
      const auto same = std::find_if(marks_.states.begin(), marks_.states.end(),
                                     [&](const PlanState& other) { return other.id == state.id; });
      if (same == marks_.states.end()) {
        marks_.states.push_back(state);
      } else if (same->version != state.version) {
        findings_.add(
            refusal({}, fmt::format("state {} has the versions {} and {}", state.id, same->version, state.version),
                    "declare each state once"));
      }
    }
  }

  const Pieces& patched_;
  Findings& findings_;
  AuthorMarks marks_;
};

}  // namespace

bool AuthorMarks::ignores(const Pieces& patched, const Piece& piece) const {
  return ignored_functions.count(patched.leader(&piece)) != 0 || ignored_sections.count(piece.section->name) != 0;
}

bool is_author_mark(const elf::Section& section) {
  return section.name.starts_with(".kpatch.") || section.name == elf::kStatesSection;
}

AuthorMarks read_author_marks(const Pieces& patched, Findings& findings) {
  return MarksReader(patched, findings).read();
}

Findings conflicts(const std::vector<PatchObject>& plans) {
  Findings result;
  std::map<std::pair<std::string, elf::CallbackKind>, std::pair<const PatchObject*, std::string>> callbacks;
  std::map<uint64_t, std::pair<const PatchObject*, uint64_t>> states;
  for (const PatchObject& plan : plans) {
    for (const PlanCallback& callback : plan.callbacks) {
      const std::string& name = plan.symbols[callback.symbol].name;
      const auto [slot, made] = callbacks.try_emplace({plan.object, callback.kind}, &plan, name);
      if (made) continue;
      Finding finding =
          refusal(name,
                  fmt::format("{} has two {}s: {} of {} and {} of {}", plan.object, callback_text(callback.kind),
                              slot->second.second, slot->second.first->unit, name, plan.unit),
                  "an object has one of each kind: call both functions from one");
      finding.object = plan.object;
      finding.unit = plan.unit;
      result.add(std::move(finding));
    }
    for (const PlanState& state : plan.states) {
      const auto [slot, made] = states.try_emplace(state.id, &plan, state.version);
      if (made || slot->second.second == state.version) continue;
      Finding finding = refusal({},
                                fmt::format("state {} has version {} in {} and {} in {}", state.id, slot->second.second,
                                            slot->second.first->unit, state.version, plan.unit),
                                "declare each state once");
      finding.object = plan.object;
      finding.unit = plan.unit;
      result.add(std::move(finding));
    }
  }
  return result;
}

std::string callback_text(elf::CallbackKind kind) {
  std::string text(elf::to_string(kind));
  std::replace(text.begin(), text.end(), '_', '-');
  return text + " callback";
}

}  // namespace klp::diff
