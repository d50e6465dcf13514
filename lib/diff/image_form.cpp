#include "diff/image_form.h"

#include <algorithm>

#include "arch/linked_code.h"
#include "diff/instructions.h"
#include "elf/power_instructions.h"
#include "support/bytes.h"
#include "support/error.h"

namespace klp::diff {
namespace {

constexpr uint16_t kRelocatable = 1;         // ET_REL
constexpr uint64_t kMappedLow = 1ULL << 32;  // per-cpu data is linked at 0
constexpr uint64_t kConstant = 8;            // bytes of a constant that has no name, where its size is not known
constexpr size_t kShortestField = 4;

std::string_view string_at(std::span<const std::byte> data, uint64_t offset) {
  const std::string_view rest(reinterpret_cast<const char*>(data.data()) + offset, data.size() - offset);
  const size_t end = rest.find('\0');
  return end == std::string_view::npos ? std::string_view() : rest.substr(0, end);
}

/// Whether the byte ends a text: what a linker that merges strings makes of an empty one.
bool is_end_of_text(const elf::Section& section, uint64_t offset) {
  const std::string_view before(reinterpret_cast<const char*>(section.data.data()), offset);
  return !before.empty() && before.back() != '\0' && section.data[offset] == std::byte{0} &&
         is_text(before.substr(before.find_last_of('\0') + 1));
}

/// Symbols that name what is there; marks of the linker and of the compiler do not.
bool names_something(const elf::Symbol& s) {
  return s.is_defined() && !s.is_section() && s.type != elf::kSttFile && !s.name.empty() && s.section->is_alloc() &&
         !s.name.starts_with(".L") && !s.name.starts_with("__pfx_");
}

/// A name that says more comes first: with a size, global, and the same in every build.
bool says_more(const elf::Symbol& a, const elf::Symbol& b) {
  if ((a.size != 0) != (b.size != 0)) return a.size != 0;
  if (a.is_local() != b.is_local()) return !a.is_local();
  return a.name < b.name;
}

}  // namespace

/// One function while its form is made.
struct ImageForm::Code {
  const elf::Section& section;
  uint64_t start;  ///< offset in the section
  uint64_t size;
  const std::vector<elf::Instruction>& instructions;
  std::span<const std::byte> bytes;
  const std::vector<elf::Disassembler::Mention>& mentions;  ///< of a linked image
  std::vector<elf::PowerHalf> halves{};                     ///< of a linked image with halves of addresses
  const Code* owner = nullptr;                              ///< of code that is put over a site: the function
};

ImageForm::ImageForm(const elf::ElfObject& image)
    : image_(image),
      arch_(arch::arch_for(image.machine())),
      index_(image),
      linked_(image.type() != kRelocatable),
      places_(image.sections().size()) {
  for (const elf::Section& s : image.sections()) {
    if (linked_ && s.name.starts_with(".data..percpu")) per_cpu_ = &s;
    if (!s.is_alloc() || (linked_ && s.address < kMappedLow)) continue;
    low_ = std::min(low_, s.address);
    high_ = std::max(high_, s.address + s.size);
  }
  for (const elf::Symbol& s : image.symbols()) {
    if (names_something(s)) places_[s.section->index].push_back({s.value, &s});
  }
  for (const elf::Symbol& s : image.symbols()) {
    if (linked_ && s.is_defined() && !s.is_local() && s.size == 0) marks_.emplace(s.value, &s);
  }
  for (auto& places : places_) {
    std::stable_sort(places.begin(), places.end(), [](const Place& a, const Place& b) {
      return a.value != b.value ? a.value < b.value : says_more(*a.symbol, *b.symbol);
    });
    const auto same = [](const Place& a, const Place& b) { return a.value == b.value; };
    places.erase(std::unique(places.begin(), places.end(), same), places.end());
  }
  if (linked_ && arch::linked_code_for(image.machine()) != nullptr) {
    for (const elf::Symbol& s : image.symbols()) {
      if (s.name == arch::LinkedCode::kBase && s.is_defined()) base_ = s.value;
    }
  }
  make_lists();
  tables_.emplace(index_, [this](const elf::Section& section, uint64_t value) { return covering(section, value); });
}

void ImageForm::make_lists() {
  for (const auto& places : places_) {
    for (const Place& place : places) {
      const elf::Symbol& s = *place.symbol;
      const bool code = s.section->is_exec() && s.section->has_data() && s.size != 0 && !s.is_object();
      const bool data = !s.section->is_exec() && s.size != 0 && s.is_object();
      if (code || data)
        (code ? functions_ : variables_)
            .push_back({&s, stable_name(s.name), s.is_local() ? s.file : std::string_view()});
    }
  }
  // These lie at the linker's marks, which come first there.
  for (const elf::Symbol& s : image_.symbols()) {
    if (s.is_defined() && s.size == 0 && s.name.starts_with("__initcall__kmod_"))
      variables_.push_back({&s, stable_name(s.name), s.file});
  }
  for (auto* list : {&functions_, &variables_}) {
    std::sort(list->begin(), list->end(),
              [](const ImageFunction& a, const ImageFunction& b) { return a.symbol->index < b.symbol->index; });
  }
}

const elf::Symbol* ImageForm::covering(const elf::Section& section, uint64_t value) const {
  const auto& places = places_[section.index];
  auto after = std::upper_bound(places.begin(), places.end(), value,
                                [](uint64_t v, const Place& place) { return v < place.value; });
  if (after == places.begin()) return nullptr;
  const elf::Symbol& s = *std::prev(after)->symbol;
  const bool reaches = s.size == 0 ? s.value == value || section.is_exec() : value - s.value < s.size;
  return reaches ? &s : nullptr;
}

std::string ImageForm::per_cpu(uint64_t offset) const {
  if (per_cpu_ == nullptr || offset < per_cpu_->address || offset - per_cpu_->address >= per_cpu_->size) return {};
  const elf::Symbol* s = covering(*per_cpu_, offset);
  return s == nullptr ? "" : fmt::format("{}+{:#x}", stable_name(s->name), offset - s->value);
}

void ImageForm::describe_per_cpu(uint64_t offset, FormText& out) const {
  out.text += per_cpu(offset);
  const elf::Symbol* s = per_cpu_ != nullptr ? covering(*per_cpu_, offset) : nullptr;
  if (s != nullptr) out.references.push_back({s, per_cpu_, offset});
}

std::span<const std::byte> ImageForm::code(const ImageFunction& function) const {
  const elf::Section& section = *function.symbol->section;
  const uint64_t start = function.symbol->value - section.address;
  if (start > section.data.size()) return {};
  return section.data.subspan(start, std::min<uint64_t>(function.symbol->size, section.data.size() - start));
}

/// What has no name is no variable, nor are the compiler's numbered constants. Among variables nothing lacks a name: a
/// place without one is behind the end of an array.
bool ImageForm::is_constant(const elf::Section& section, const elf::Symbol* s) {
  if (!section.has_data() || !holds_constants(section)) return false;
  return s == nullptr || (s->is_local() && s->name.find('.') != std::string_view::npos);
}

void ImageForm::describe_data(const elf::Section& section, uint64_t value, FormText& out) const {
  const uint64_t offset = value - section.address;
  const elf::Symbol* s = covering(section, value);
  const bool readable = is_constant(section, s) && offset < section.data.size();
  // Nothing else can begin in a string of these sections, or in a constant of those.
  const bool is_mergeable = !linked_ && (section.is_strings() || section.is_mergeable_constants());
  const bool is_empty_text = s == nullptr && readable && is_end_of_text(section, offset);
  const bool is_whole = s == nullptr && (is_mergeable || is_empty_text);
  if (!is_whole && (s != nullptr || readable)) out.references.push_back({s, &section, value});
  if (readable) {
    const std::string_view text = string_at(section.data, offset);
    if (section.is_strings() || (!text.empty() && is_text(text)) || is_empty_text) {
      out.text += '"';
      out.text += text;
      return;
    }
  }
  if (s != nullptr) {
    out.text += stable_name(s->name);
    if (value != s->value) out.text += fmt::format("+{:#x}", value - s->value);
    return;
  }
  if (!readable) return describe_behind(section, value, out);
  out.text += '#';
  if (linked_) return;  // How long it is becomes known when all references are.
  const uint64_t wanted = section.is_mergeable_constants() && section.entsize != 0 ? section.entsize : kConstant;
  const uint64_t size = std::min<uint64_t>(wanted, section.data.size() - offset);
  out.text.append(reinterpret_cast<const char*>(section.data.data()) + offset, size);
}

/// A place behind a variable, or the end of the section: what an empty struct has for an address, or a loop for an end.
void ImageForm::describe_behind(const elf::Section& section, uint64_t value, FormText& out) const {
  const auto& places = places_[section.index];
  const auto after = std::upper_bound(places.begin(), places.end(), value,
                                      [](uint64_t v, const Place& place) { return v < place.value; });
  if (after == places.begin()) {
    out.text += fmt::format("{}+{:#x}", section.name, value - section.address);
    return;
  }
  const elf::Symbol& s = *std::prev(after)->symbol;
  out.references.push_back({&s, &section, value});
  out.text += stable_name(s.name);
  if (value != s.value) out.text += fmt::format("+{:#x}", value - s.value);
}

/// What lies between sections: the end of one; or the linker's marks (_end), with a distance for code that counts from
/// there.
void ImageForm::describe_mark(uint64_t value, FormText& out) const {
  const auto after = marks_.upper_bound(value);
  const bool is_mark = after != marks_.begin() && std::prev(after)->first == value;
  const elf::Section* before = linked_ && !is_mark ? index_.section_at(value - 1) : nullptr;
  if (before != nullptr) return describe_behind(*before, value, out);
  if (!linked_ || after == marks_.begin()) {
    out.text += fmt::format("={:#x}", value);
    return;
  }
  const elf::Symbol& mark = *std::prev(after)->second;
  out.text += fmt::format("{}+{:#x}", mark.name, value - mark.value);
}

void ImageForm::describe_outside(const elf::Section* section, uint64_t value, FormText& out) const {
  if (section == nullptr) return describe_mark(value, out);
  if (!section->is_exec()) return describe_data(*section, value, out);
  const elf::Symbol* s = covering(*section, value);
  out.text += s == nullptr ? std::string(section->name) : stable_name(s->name);
  if (s != nullptr) out.references.push_back({s, section, value});
  if (s != nullptr && value != s->value) out.text += fmt::format("+{:#x}", value - s->value);
}

void ImageForm::describe(const Code& code, const elf::Section* section, uint64_t value, FormText& out) const {
  const uint64_t offset = section != nullptr ? value - section->address : 0;
  if (section == &code.section && offset >= code.start && offset - code.start < code.size) {
    out.text +=
        fmt::format("@{}", instruction_number(code.instructions, code.size, static_cast<int64_t>(offset - code.start)));
    return;
  }
  if (code.owner != nullptr) return describe(*code.owner, section, value, out);
  describe_outside(section, value, out);
}

void ImageForm::describe_reference(const Code& code, const elf::Relocation& r, uint64_t to_end, FormText& out) const {
  const elf::Symbol& s = *r.symbol;
  const int64_t offset = arch_.target_offset(r, arch_.bias(r, to_end));
  if (!s.is_defined()) {
    out.text += stable_name(s.name);
    if (offset != 0) out.text += fmt::format("+{:#x}", offset);
    return;
  }
  describe(code, s.section, s.value + static_cast<uint64_t>(offset), out);
}

void ImageForm::add_branch(const Code& code, const elf::Instruction& instruction, FormText& out) const {
  out.text += fmt::format("{}{} ", "?jbc"[static_cast<size_t>(instruction.flow)], instruction.condition);
  const auto& all = code.section.relocations;
  const uint64_t at = code.start + instruction.offset;
  const auto r =
      std::lower_bound(all.begin(), all.end(), at, [](const elf::Relocation& x, uint64_t v) { return x.offset < v; });
  if (r != all.end() && r->offset < at + instruction.size && arch_.field_kind(*r).width > 0)
    return describe_reference(code, *r, at + instruction.size - r->offset, out);
  const uint64_t value = code.section.address + code.start + static_cast<uint64_t>(instruction.target);
  describe(code, linked_ ? index_.section_at(value) : &code.section, value, out);
}

void ImageForm::add_relocated(const Code& code, const elf::Instruction& instruction, FormText& out) const {
  const size_t bytes = out.text.size();
  const auto raw = code.bytes.subspan(instruction.offset, instruction.size);
  out.text.append(reinterpret_cast<const char*>(raw.data()), raw.size());
  const auto& all = code.section.relocations;
  const uint64_t at = code.start + instruction.offset, end = at + instruction.size;
  auto r =
      std::lower_bound(all.begin(), all.end(), at, [](const elf::Relocation& x, uint64_t v) { return x.offset < v; });
  for (; r != all.end() && r->offset < end; ++r) {
    const uint64_t width = arch_.field_kind(*r).width;
    if (width == 0 || r->offset + width > end) continue;
    std::fill_n(out.text.begin() + static_cast<int64_t>(bytes + r->offset - at), width, '\0');
    out.text += '|';
    describe_reference(code, *r, end - r->offset, out);
  }
}

/// The lower half stands for the whole address, or for what the slot there points to; an upper one for nothing.
bool ImageForm::add_half(const Code& code, const elf::Instruction& instruction, FormText& out) const {
  const auto half = std::lower_bound(code.halves.begin(), code.halves.end(), instruction.offset,
                                     [](const elf::PowerHalf& h, uint64_t offset) { return h.offset < offset; });
  if (half == code.halves.end() || half->offset != instruction.offset) return false;
  const auto raw = code.bytes.subspan(instruction.offset, instruction.size);
  const size_t start = out.text.size();
  out.text.append(reinterpret_cast<const char*>(raw.data()), raw.size());
  out.text[start] = out.text[start + 1] = '\0';
  if (!half->lower) return true;
  const elf::Section* section = index_.section_at(half->address);
  uint64_t value = half->address;
  out.text += '|';
  if (section != nullptr && (section->name == ".toc" || section->name == ".got")) {
    const uint64_t slot = value - section->address;
    if (slot + sizeof value <= section->data.size()) value = read_le<uint64_t>(section->data, slot);
    section = index_.section_at(value);
    out.text += '*';
  }
  describe(code, section, value, out);
  return true;
}

/// Where in the instruction its address stands is found by its value: relative to the end, or absolute.
void ImageForm::add_linked(const Code& code, const elf::Instruction& instruction, FormText& out) const {
  const size_t bytes = out.text.size();
  const auto raw = code.bytes.subspan(instruction.offset, instruction.size);
  out.text.append(reinterpret_cast<const char*>(raw.data()), raw.size());
  const uint64_t at = code.section.address + code.start + instruction.offset;
  auto mention = std::lower_bound(code.mentions.begin(), code.mentions.end(), at,
                                  [](const auto& m, uint64_t v) { return m.at < v; });
  std::vector<bool> taken(raw.size());  // a pointer stored into itself has the same address in both fields
  for (; mention != code.mentions.end() && mention->at == at; ++mention) {
    const bool per_cpu = mention->address < low_;
    if (per_cpu && !arch_.uses_per_cpu_area(raw)) continue;
    const uint32_t relative = static_cast<uint32_t>(mention->address - (at + instruction.size));
    const uint32_t absolute = static_cast<uint32_t>(mention->address);
    for (size_t i = raw.size(); i-- > kShortestField - 1;) {
      const size_t field = i - (kShortestField - 1);
      const uint32_t value = read_le<uint32_t>(raw, field);
      if ((value != relative && value != absolute) || taken[field]) continue;
      taken[field] = true;
      std::fill_n(out.text.begin() + static_cast<int64_t>(bytes + field), kShortestField, '\0');
      out.text += '|';
      if (per_cpu)
        describe_per_cpu(mention->address, out);
      else
        describe(code, index_.section_at(mention->address), mention->address, out);
      break;
    }
  }
}

void ImageForm::add_instruction(const Code& code, const elf::Instruction& instruction, FormText& out) const {
  if (instruction.flow != elf::Flow::none)
    add_branch(code, instruction, out);
  else if (linked_ && !add_half(code, instruction, out))
    add_linked(code, instruction, out);
  else if (!linked_)
    add_relocated(code, instruction, out);
}

void ImageForm::add_replacement(const Code& owner, const ImageTables::Replacement& replacement,
                                const elf::Disassembler& disassembler, FormText& out) const {
  const elf::Section& section = *replacement.code.section;
  const uint64_t start = replacement.code.value - section.address;
  const std::span<const std::byte> bytes = section.data.subspan(start, replacement.size);
  const std::vector<elf::Instruction> instructions = disassembler.decode(bytes);
  std::vector<elf::Disassembler::Mention> mentions;
  if (linked_)
    mentions = disassembler.mentions(bytes, replacement.code.value, per_cpu_ != nullptr ? 0 : low_, high_ + 1);
  const Code code{section, start, bytes.size(), instructions, bytes, mentions, {}, &owner};
  for (const elf::Instruction& i : instructions) {
    add_instruction(code, i, out);
    out.text += '\n';
  }
}

FormText ImageForm::entry_text(const Code& code, const ImageEntry& entry, const elf::Disassembler& disassembler) const {
  FormText out{fmt::format("{}@{}:", entry.spec->section,
                           instruction_number(code.instructions, code.size, static_cast<int64_t>(entry.owner_offset)))};
  const size_t bytes = out.text.size();
  out.text.append(reinterpret_cast<const char*>(entry.section->data.data()) + entry.offset, entry.size);
  const auto clear = [&](uint64_t at, uint64_t size) {
    for (uint64_t i = at; i < at + size && i < entry.size; ++i) out.text[bytes + i] = '\0';
  };
  for (const auto& [at, size] : entry.layout->ignored) clear(at, size);
  const std::optional<ImageTables::Replacement> replacement = tables_->replacement(entry);
  const std::vector<ImageField> fields = tables_->fields(entry);
  for (const ImageField& f : fields) clear(f.at, f.width);
  for (const ImageField& f : fields) {
    out.text += fmt::format("|{} ", f.at);
    if (f.external != nullptr)
      out.text += fmt::format("{}+{:#x}", stable_name(f.external->name), f.external_offset);
    else if (replacement && (f.at == replacement->code.at ||
                             (entry.layout->lengths_are_ends && f.at == entry.layout->replacement->second)))
      add_replacement(code, *replacement, disassembler, out);
    else if (f.at != entry.layout->fields.front())
      describe(code, f.section, f.value, out);
  }
  return out;
}

template <typename See>
void ImageForm::each_item(const ImageFunction& function, const elf::Disassembler& disassembler, See see) const {
  const elf::Section& section = *function.symbol->section;
  const std::span<const std::byte> bytes = code(function);
  const std::vector<elf::Instruction> instructions = disassembler.decode(bytes);
  std::vector<elf::Disassembler::Mention> mentions;
  if (linked_)
    mentions = disassembler.mentions(bytes, function.symbol->value, per_cpu_ != nullptr ? 0 : low_, high_ + 1);
  Code code{section, function.symbol->value - section.address, bytes.size(), instructions, bytes, mentions};
  if (base_) code.halves = elf::power_halves(bytes, *base_);
  FormText item;
  for (const elf::Instruction& i : instructions) {
    if (i.nop) continue;
    item.text.clear();
    item.references.clear();
    add_instruction(code, i, item);
    see(i, item, {});
  }
  // The linker may have sorted a table; entries of one site keep their order, which may mean something.
  std::vector<std::pair<uint64_t, const ImageEntry*>> entries;
  for (const ImageEntry& entry : tables_->of(*function.symbol)) entries.emplace_back(entry.owner_offset, &entry);
  std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return a.second->spec != b.second->spec ? a.second->spec < b.second->spec : a.first < b.first;
  });
  for (const auto& [site, entry] : entries) {
    elf::Instruction place;
    place.offset = site;
    see(place, entry_text(code, *entry, disassembler), entry->spec->section);
  }
}

std::vector<FormItem> ImageForm::form(const ImageFunction& function, const elf::Disassembler& disassembler) const {
  std::vector<FormItem> result;
  each_item(function, disassembler, [&](const elf::Instruction& i, const FormText& item, std::string_view table) {
    const size_t raw = i.flow != elf::Flow::none ? 0 : i.size;
    const size_t target = !table.empty()              ? std::string::npos
                          : i.flow != elf::Flow::none ? item.text.find(' ')
                                                      : item.text.find('|', raw);
    result.push_back({i.offset, i.size, item.text, target, table, item.references});
  });
  return result;
}

FormText ImageForm::digest(const ImageFunction& function, const elf::Disassembler& disassembler) const {
  FormText result;
  each_item(function, disassembler, [&](const elf::Instruction&, const FormText& item, std::string_view) {
    result.text += item.text;
    result.text += '\n';
    result.text += static_cast<char>(item.text.size());  // what an item holds cannot pass for the end of another
    result.references.insert(result.references.end(), item.references.begin(), item.references.end());
  });
  return result;
}

}  // namespace klp::diff
