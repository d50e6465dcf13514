// What the normal form says of variables, and of where things lie.
#include <algorithm>
#include <tuple>

#include "diff/image_form.h"
#include "support/bytes.h"

namespace klp::diff {

/// The line in a variable of a table that only tells where a message stands.
struct ImageForm::LineField {
  std::string_view section;
  const char *start, *end;  ///< the linker's marks where the section became part of another one
  uint64_t size, at;        ///< of the struct; of the line in it
  std::string_view mask;
};

/// Addresses are whole words, where the compiler puts them.
FormText ImageForm::linked_content(const elf::Section& section, uint64_t start, std::string_view bytes) const {
  constexpr uint64_t kWord = 8;
  FormText out;
  for (uint64_t at = 0; at < bytes.size();) {
    const uint64_t step = std::min(bytes.size() - at, kWord - (section.address + start + at) % kWord);
    const uint64_t value = step == kWord ? read_le<uint64_t>(section.data, start + at) : 0;
    if (value >= low_ && value < high_) {
      out.text += '|';
      describe_outside(index_.section_at(value), value, out);
      out.text += '\0';
    } else {
      out.text += bytes.substr(at, step);
    }
    at += step;
  }
  return out;
}

FormText ImageForm::relocated_content(const elf::Section& section, uint64_t start, std::string bytes) const {
  FormText targets;
  const uint64_t size = bytes.size();
  const auto& all = section.relocations;
  auto r = std::lower_bound(all.begin(), all.end(), start,
                            [](const elf::Relocation& x, uint64_t v) { return x.offset < v; });
  for (; r != all.end() && r->offset < start + size; ++r) {
    const uint64_t width = arch_.field_kind(*r).width, at = r->offset - start;
    if (width == 0 || at + width > size) continue;
    std::fill_n(bytes.begin() + static_cast<int64_t>(at), width, '\0');
    targets.text += fmt::format("|{:#x} ", at);
    const int64_t offset = arch_.target_offset(*r, arch_.bias(*r, 0));
    if (r->symbol->is_defined()) {
      describe_outside(r->symbol->section, r->symbol->value + static_cast<uint64_t>(offset), targets);
    } else {
      targets.text += fmt::format("{}+{:#x}", stable_name(r->symbol->name), offset);
    }
  }
  targets.text.insert(0, bytes);
  return targets;
}

FormText ImageForm::content(const ImageFunction& variable) const {
  const elf::Section& section = *variable.symbol->section;
  const uint64_t start = variable.symbol->value - section.address;
  const uint64_t size = variable.symbol->size;
  if (!section.has_data()) return {fmt::format("zeros {}", size)};
  if (start > section.data.size() || section.data.size() - start < size) return {};
  std::string bytes(reinterpret_cast<const char*>(section.data.data()) + start, size);
  if (const LineField* field = line_field(variable)) {
    for (size_t i = 0; i < field->mask.size(); ++i) bytes[field->at + i] &= static_cast<char>(~field->mask[i]);
  }
  return linked_ ? linked_content(section, start, bytes) : relocated_content(section, start, std::move(bytes));
}

bool is_text(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return (c >= 0x20 && c < 0x7f) || (c >= 1 && c <= 13); });
}

bool holds_constants(const elf::Section& section) {
  return !section.is_exec() && (!section.is_writable() || memory_kind(section.name) == ".rodata");
}

FormText ImageForm::content(const elf::Section& section, uint64_t value, uint64_t size) const {
  const uint64_t start = value - section.address;
  if (!section.has_data()) return {fmt::format("zeros {}", size)};
  if (start > section.data.size() || section.data.size() - start < size) return {};
  std::string bytes(reinterpret_cast<const char*>(section.data.data()) + start, size);
  return linked_ ? linked_content(section, start, bytes) : relocated_content(section, start, std::move(bytes));
}

// struct _ddebug: lineno:18 behind four pointers (include/linux/dynamic_debug.h, 5.10-6.12); struct pi_entry
// (include/linux/printk.h, 5.15-6.12).
const ImageForm::LineField* ImageForm::line_field(const ImageFunction& variable) const {
  static const LineField fields[] = {
      {"__dyndbg", "__start___dyndbg", "__stop___dyndbg", 40, 32, "\xff\xff\x03"},
      {".printk_index", "__start_printk_index", "__stop_printk_index", 28, 24, "\xff\xff\xff\xff"}};
  const elf::Symbol& s = *variable.symbol;
  for (const LineField& f : fields) {
    if (s.size >= f.size && (s.section->name == f.section || is_between(f.start, f.end, s.value))) return &f;
  }
  return nullptr;
}

bool ImageForm::is_between(const char* start, const char* end, uint64_t value) const {
  if (!linked_) return false;
  const elf::Symbol *a = index_.maybe_global(start), *b = index_.maybe_global(end);
  return a != nullptr && b != nullptr && value >= a->value && value < b->value;
}

std::string ImageForm::area(const ImageFunction& entry) const {
  const elf::Symbol& s = *entry.symbol;
  // The linker's script has put these into .text and .rodata (include/asm-generic/vmlinux.lds.h, 5.10-6.12).
  static const std::tuple<const char*, const char*, const char*> kMarks[] = {
      {"__noinstr_text_start", "__noinstr_text_end", ".noinstr.text"},
      {"__sched_text_start", "__sched_text_end", ".sched.text"},
      {"__cpuidle_text_start", "__cpuidle_text_end", ".cpuidle.text"},
      {"__kprobes_text_start", "__kprobes_text_end", ".kprobes.text"},
      {"__entry_text_start", "__entry_text_end", ".entry.text"},
      {"__irqentry_text_start", "__irqentry_text_end", ".irqentry.text"},
      {"__softirqentry_text_start", "__softirqentry_text_end", ".softirqentry.text"},
      {"__start___dyndbg", "__stop___dyndbg", "__dyndbg"},
      {"__start_ro_after_init", "__end_ro_after_init", ".data..ro_after_init"}};
  for (const auto& [start, end, name] : kMarks) {
    if (is_between(start, end, s.value)) return name;
  }
  return memory_kind(s.section->name);
}

std::string ImageForm::lines(const ImageFunction& entry) const {
  std::string result;
  const auto add = [&](const elf::Section& section, uint64_t at, uint64_t size) {
    if (at + size <= section.data.size()) result.append(reinterpret_cast<const char*>(section.data.data()) + at, size);
  };
  for (const ImageEntry& e : tables_->of(*entry.symbol)) {
    for (const auto& [at, size] : e.layout->ignored) add(*e.section, e.offset + at, size);
  }
  if (const LineField* field = line_field(entry))
    add(*entry.symbol->section, entry.symbol->value - entry.symbol->section->address + field->at, field->mask.size());
  return result;
}

std::optional<bool> ImageForm::traceable(const ImageFunction& function) const {
  return tables_->traceable(*function.symbol);
}

}  // namespace klp::diff
