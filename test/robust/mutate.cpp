// Field layouts are those of the ELF specification, 64-bit. Every edit is described by the field's name and record, so
// that a failure can be understood without a hex dump.
#include "mutate.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "elf/elf_types.h"

namespace klp::test {
namespace {

struct Field {
  const char* name;
  uint64_t offset;
  unsigned width;
};
constexpr std::array<Field, 11> kHeader = {{{"class", 4, 1},
                                            {"data", 5, 1},
                                            {"type", 16, 2},
                                            {"machine", 18, 2},
                                            {"phoff", 32, 8},
                                            {"shoff", 40, 8},
                                            {"flags", 48, 4},
                                            {"phnum", 56, 2},
                                            {"shentsize", 58, 2},
                                            {"shnum", 60, 2},
                                            {"shstrndx", 62, 2}}};
constexpr std::array<Field, 10> kSection = {{{"name", 0, 4},
                                             {"type", 4, 4},
                                             {"flags", 8, 8},
                                             {"addr", 16, 8},
                                             {"offset", 24, 8},
                                             {"size", 32, 8},
                                             {"link", 40, 4},
                                             {"info", 44, 4},
                                             {"addralign", 48, 8},
                                             {"entsize", 56, 8}}};
constexpr std::array<Field, 6> kSymbol = {
    {{"name", 0, 4}, {"info", 4, 1}, {"other", 5, 1}, {"shndx", 6, 2}, {"value", 8, 8}, {"size", 16, 8}}};
constexpr std::array<Field, 4> kRela = {{{"offset", 0, 8}, {"type", 8, 4}, {"symbol", 12, 4}, {"addend", 16, 8}}};

/// Records of one kind that lie side by side.
struct Records {
  std::string name;
  uint64_t start = 0, size = 0, count = 0;
  std::span<const Field> fields;
};

struct Range {
  std::string name;
  uint64_t start = 0, size = 0;
};

class Mutator {
 public:
  Mutator(std::span<const std::byte> object, Random& random) : bytes_(object.begin(), object.end()), random_(random) {}

  Mutation run() {
    const uint64_t edits = 1 + random_.below(4);
    for (uint64_t i = 0; i < edits; ++i) {
      survey();
      if (!what_.empty()) what_ += "; ";
      edit();
    }
    return {std::move(bytes_), std::move(what_)};
  }

 private:
  uint64_t get(uint64_t at, unsigned width) const {
    uint64_t value = 0;
    if (at + width <= bytes_.size()) std::memcpy(&value, bytes_.data() + at, width);
    return value;
  }
  void set(uint64_t at, unsigned width, uint64_t value) {
    if (at + width <= bytes_.size()) std::memcpy(bytes_.data() + at, &value, width);
  }

  /// Finds the records as they are now.
  void survey() {
    records_.clear();
    code_.clear();
    debug_.clear();
    strings_.clear();
    if (bytes_.size() < 64) return;
    records_.push_back({"header", 0, 64, 1, kHeader});
    const uint64_t start = get(40, 8);
    const uint64_t count = std::min<uint64_t>(get(60, 2), start < bytes_.size() ? (bytes_.size() - start) / 64 : 0);
    if (count == 0) return;
    records_.push_back({"section", start, 64, count, kSection});
    const uint64_t names = start + get(62, 2) * 64;
    for (uint64_t i = 1; i < count; ++i) survey_section(start + i * 64, get(names + 24, 8), i);
  }

  void survey_section(uint64_t header, uint64_t names, uint64_t index) {
    const uint64_t type = get(header + 4, 4), start = get(header + 24, 8), size = get(header + 32, 8);
    if (type == elf::kShtNobits || size == 0 || start >= bytes_.size() || size > bytes_.size() - start) return;
    const std::string name = fmt::format("{} '{}'", index, name_at(names, get(header, 4)));
    if (type == elf::kShtSymtab) records_.push_back({"symbol", start, 24, size / 24, kSymbol});
    if (type == elf::kShtRela) records_.push_back({"relocation of " + name, start, 24, size / 24, kRela});
    const bool debug = name.find("'.debug_") != std::string::npos;
    const bool strings = type == elf::kShtStrtab || (get(header + 8, 8) & elf::kShfStrings) != 0;
    (debug ? debug_ : strings ? strings_ : code_).push_back({name, start, size});
  }

  std::string name_at(uint64_t table, uint64_t offset) const {
    std::string name;
    if (table >= bytes_.size() || offset >= bytes_.size() - table) return name;
    for (uint64_t at = table + offset; at < bytes_.size() && bytes_[at] != std::byte{0} && name.size() < 40; ++at) {
      const char c = static_cast<char>(bytes_[at]);
      name += c > ' ' && c < 0x7f ? c : '?';
    }
    return name;
  }

  void edit() {
    switch (random_.below(20)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:  // clang-format off
        return field();
      case 5: case 6:
        return column();  // clang-format on
      case 7:
        return swap_records();
      case 8:
        return overlap();
      case 9:
        return nobits();
      case 10:
        return mergeable();
      case 11:
        return strings_without_end();
      case 12:
        return overwrite("bytes", {"all", 0, bytes_.size()});
      case 13:
        return cut_or_extend();
      case 14:
        return copy_block();
      case 15:
      case 16:
        return overwrite("content", any(code_));
      default:
        return overwrite("debug", any(debug_));
    }
  }

  Range any(const std::vector<Range>& ranges) {
    return ranges.empty() ? Range{"all", 0, bytes_.size()} : ranges[random_.below(ranges.size())];
  }

  /// Kinds of records are equally likely, whatever their number; relocation sections count as one kind.
  const Records* any_records() {
    if (records_.empty()) return nullptr;
    return &records_[random_.below(random_.below(2) == 0 ? std::min<size_t>(records_.size(), 3) : records_.size())];
  }

  uint64_t value_for(uint64_t old, unsigned width) {
    const unsigned bits = width * 8;
    switch (random_.below(16)) {
      case 0:
        return 0;
      case 1:
        return 1;
      case 2:
        return ~0ULL;
      case 3:
        return old + 1;
      case 4:
        return old - 1;
      case 5:
        return 1ULL << random_.below(bits);
      case 6:
        return ~0ULL >> (64 - bits + 1);  // the greatest signed one
      case 7:
        return 1ULL << (bits - 1);  // the least
      case 8:
        return bytes_.size() + random_.below(3) - 1;
      case 9:
        return old ^ (1ULL << random_.below(bits));
      case 10:
        return random_.below(64);
      case 11:
        return ~0ULL - random_.below(64);
      case 12:
        return old + random_.below(64) - 32;
      case 13:
        return old * 2;
      case 14:
        return 1ULL << (20 + random_.below(22));
      default:
        return random_.next();
    }
  }

  void field() {
    const Records* r = any_records();
    if (r == nullptr || r->count == 0) return overwrite("bytes", {"all", 0, bytes_.size()});
    const uint64_t index = random_.below(r->count);
    const Field& f = r->fields[random_.below(r->fields.size())];
    const uint64_t at = r->start + index * r->size + f.offset;
    // Now and then the value of another record, which is at least plausible.
    const uint64_t value = random_.below(4) == 0 ? get(r->start + random_.below(r->count) * r->size + f.offset, f.width)
                                                 : value_for(get(at, f.width), f.width);
    what_ += fmt::format("{} {}: {} {:#x} -> {:#x}", r->name, index, f.name, get(at, f.width), value);
    set(at, f.width, value);
  }

  void column() {
    const Records* r = any_records();
    if (r == nullptr || r->count == 0) return overwrite("bytes", {"all", 0, bytes_.size()});
    const Field& f = r->fields[random_.below(r->fields.size())];
    const uint64_t step = 1 + random_.below(4), delta = random_.below(2);
    const uint64_t value = random_.below(2) == 0 ? get(r->start + random_.below(r->count) * r->size + f.offset, f.width)
                                                 : value_for(1, f.width);
    what_ += fmt::format("{}: {} of every {}. := {:#x} + {} * n", r->name, f.name, step, value, delta);
    for (uint64_t i = random_.below(step); i < r->count; i += step)
      set(r->start + i * r->size + f.offset, f.width, value + i * delta);
  }

  void swap_records() {
    const Records* r = any_records();
    if (r == nullptr || r->count < 2) return field();
    const uint64_t a = random_.below(r->count), b = random_.below(r->count);
    what_ += fmt::format("{} {} and {} swapped", r->name, a, b);
    const auto at = [&](uint64_t i) { return bytes_.begin() + static_cast<std::ptrdiff_t>(r->start + i * r->size); };
    if (a != b) std::swap_ranges(at(a), at(a) + static_cast<std::ptrdiff_t>(r->size), at(b));
  }

  const Records* sections() const {
    return records_.size() > 1 && records_[1].name == "section" ? &records_[1] : nullptr;
  }

  /// One section gets the bytes of another, or all of them get the bytes of one.
  void overlap() {
    const Records* s = sections();
    if (s == nullptr) return field();
    const uint64_t from = s->start + random_.below(s->count) * 64;
    const bool all = random_.below(4) == 0;
    const uint64_t only = random_.below(s->count);
    what_ += fmt::format("section {} over the one at header {:#x}", all ? "all" : std::to_string(only), from);
    for (uint64_t i = all ? 1 : only; i < (all ? s->count : only + 1); ++i) {
      set(s->start + i * 64 + 24, 8, get(from + 24, 8));
      set(s->start + i * 64 + 32, 8, get(from + 32, 8));
    }
  }

  void nobits() {
    const Records* s = sections();
    if (s == nullptr) return field();
    const uint64_t at = s->start + random_.below(s->count) * 64, size = 1ULL << random_.below(64);
    what_ += fmt::format("section at header {:#x}: NOBITS of {:#x}", at, size);
    set(at + 4, 4, elf::kShtNobits);
    set(at + 32, 8, size);
  }

  void mergeable() {
    const Records* s = sections();
    if (s == nullptr) return field();
    const uint64_t at = s->start + random_.below(s->count) * 64;
    const uint64_t flags = elf::kShfMerge | (random_.below(2) == 0 ? elf::kShfStrings : 0);
    const uint64_t entsize = random_.below(2) == 0 ? 1 + random_.below(9) : value_for(1, 8);
    what_ += fmt::format("section at header {:#x}: flags |= {:#x}, entsize {:#x}", at, flags, entsize);
    set(at + 8, 8, get(at + 8, 8) | flags);
    set(at + 56, 8, entsize);
  }

  void strings_without_end() {
    const Range range = any(strings_);
    const uint64_t start = random_.below(range.size);
    const uint64_t size = random_.below(2) == 0 ? range.size - start : random_.below(range.size - start) + 1;
    what_ += fmt::format("{}+{:#x}: {:#x} bytes without NUL", range.name, start, size);
    for (uint64_t i = range.start + start; i < range.start + start + size && i < bytes_.size(); ++i) {
      if (bytes_[i] == std::byte{0}) bytes_[i] = std::byte{'x'};
    }
  }

  void overwrite(const char* kind, const Range& range) {
    if (range.size == 0) return;
    const uint64_t count = 1 + random_.below(random_.below(4) == 0 ? 64 : 4);
    const uint64_t mode = random_.below(5);
    uint64_t at = range.start + random_.below(range.size);
    what_ += fmt::format("{}: {} of {}+{:#x}, mode {}", kind, count, range.name, at - range.start, mode);
    for (uint64_t i = 0; i < count; ++i) {
      if (mode == 4) at = range.start + random_.below(range.size);  // scattered
      if (at + i >= bytes_.size()) return;
      bytes_[at + i] = mode == 0   ? std::byte{0}
                       : mode == 1 ? std::byte{0xff}
                       : mode == 2 ? bytes_[at + i] ^ static_cast<std::byte>(1U << random_.below(8))
                                   : static_cast<std::byte>(random_.next());
    }
  }

  void cut_or_extend() {
    if (random_.below(2) == 0) {
      bytes_.resize(random_.below(bytes_.size() + 1));
    } else if (random_.below(2) == 0) {
      bytes_.resize(bytes_.size() + random_.below(16));
    } else if (!bytes_.empty()) {
      // Everything behind a place moves up by a few bytes.
      const uint64_t at = random_.below(bytes_.size()),
                     size = std::min<uint64_t>(random_.below(65), bytes_.size() - at);
      bytes_.erase(bytes_.begin() + static_cast<std::ptrdiff_t>(at),
                   bytes_.begin() + static_cast<std::ptrdiff_t>(at + size));
    }
    what_ += fmt::format("now {} bytes", bytes_.size());
  }

  void copy_block() {
    if (bytes_.empty()) return;
    const uint64_t from = random_.below(bytes_.size()), to = random_.below(bytes_.size());
    const uint64_t size = std::min(random_.below(256), bytes_.size() - std::max(from, to));
    what_ += fmt::format("{} bytes of {:#x} to {:#x}", size, from, to);
    std::memmove(bytes_.data() + to, bytes_.data() + from, size);
  }

  std::vector<std::byte> bytes_;
  Random& random_;
  std::string what_;
  std::vector<Records> records_;
  std::vector<Range> code_, debug_, strings_;
};

}  // namespace

Mutation mutate(std::span<const std::byte> object, Random& random) {
  return Mutator(object, random).run();
}

}  // namespace klp::test
