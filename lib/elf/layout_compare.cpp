#include "elf/layout_compare.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "support/error.h"

namespace klp::elf {
namespace {

constexpr int kMaxDepth = 64;  // of types without names in each other; deeper is a circle

bool is_record(TypeKind kind) {
  return kind == TypeKind::structure || kind == TypeKind::union_type;
}
bool is_number(TypeKind kind) {
  return kind == TypeKind::integer || kind == TypeKind::enumeration;
}

/// "offset 12", or "offset 12, bit 3".
std::string place(uint64_t bits, bool with_bit) {
  return with_bit ? fmt::format("offset {}, bit {}", bits / 8, bits % 8) : fmt::format("offset {}", bits / 8);
}

std::string length(uint64_t bits) {
  const bool whole = bits % 8 == 0;
  const uint64_t number = whole ? bits / 8 : bits;
  return fmt::format("{} {}{}", number, whole ? "byte" : "bit", number == 1 ? "" : "s");
}

/// Words that the last enumerator has in its name when it only says how many there are.
bool is_counter_name(std::string_view name) {
  constexpr std::array<std::string_view, 9> kWords = {"MAX", "NUM", "NR", "COUNT", "CNT", "LAST", "END", "LEN", "SIZE"};
  std::string word;
  const auto counts = [&] { return std::find(kWords.begin(), kWords.end(), word) != kWords.end(); };
  for (const char c : name) {
    if (c != '_') {
      word += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    } else if (counts()) {
      return true;
    } else {
      word.clear();
    }
  }
  return counts();
}

}  // namespace

/// A member with those of anonymous structs and unions put in their place.
struct LayoutComparer::Flat {
  std::string name;
  TypeId type = 0;
  uint64_t offset = 0, size = 0;  ///< in bits
  bool bit_field = false;

  uint64_t used = 0;  ///< bits that ever hold something: one of a bool's

  bool overlaps(const Flat& other) const {
    return used != 0 && other.used != 0 && offset < other.offset + other.used && other.offset < offset + used;
  }
};

std::string LayoutChange::text() const {
  const bool bits = old_offset % 8 != 0 || new_offset % 8 != 0 || old_size % 8 != 0 || new_size % 8 != 0;
  switch (kind) {
    case Kind::moved:
      return fmt::format("member {} moved from {} to {}", member, place(old_offset, bits), place(new_offset, bits));
    case Kind::resized:
      return fmt::format("member {} at {} has {} instead of {}", member, place(old_offset, bits), length(new_size),
                         length(old_size));
    case Kind::retyped:
      return fmt::format("member {} at {} is now {}, was {}", member, place(old_offset, bits), new_type, old_type);
    case Kind::bitfield:
    case Kind::bool_bit:
      return fmt::format("member {} at {} ({}) is now {} at {} ({})", member, place(old_offset, old_size % 8 != 0),
                         length(old_size), new_type, place(new_offset, new_size % 8 != 0), length(new_size));
    case Kind::prototype:
      return fmt::format("member {} at {} points to another kind of function: {} instead of {}", member,
                         place(old_offset, bits), new_type, old_type);
    case Kind::added:
      return fmt::format("new member {} at {}{}", member, place(new_offset, bits),
                         old_type.empty() ? "" : fmt::format(", in the place of {}", old_type));
    case Kind::added_in_hole:
      return fmt::format("new member {} at {}, where nothing was", member, place(new_offset, bits));
    case Kind::removed:
      if (old_type == "enumerator") return fmt::format("enumerator {} is gone", member);
      return fmt::format("member {} at {} is gone", member, place(old_offset, bits));
    case Kind::renamed:
      if (old_type == "enumerator") return fmt::format("what was enumerator {} is {} now", member, new_type);
      return fmt::format("member {} at {} is now called {}", member, place(old_offset, bits), new_type);
    case Kind::renumbered:
      if (new_type == "gone")
        return fmt::format("enumerator {} ({}) is gone", member, static_cast<int64_t>(old_offset));
      [[fallthrough]];
    case Kind::count:
      return fmt::format("enumerator {} is {}, was {}", member, static_cast<int64_t>(new_offset),
                         static_cast<int64_t>(old_offset));
  }
  return {};
}

bool LayoutChange::is_harmless() const {
  return kind == Kind::added_in_hole || kind == Kind::removed || kind == Kind::count || kind == Kind::bool_bit;
}

void LayoutComparer::flatten(const TypeTable& table, TypeId id, const std::string& prefix, uint64_t offset,
                             std::vector<Flat>& out, int depth) {
  for (const Member& m : table.at(id).members) {
    const TypeId inner = table.strip(m.type);
    const Type& type = table.at(inner);
    const bool anonymous = is_record(type.kind) && type.name.empty() && !type.declaration && m.type == inner;
    if (anonymous && depth < kMaxDepth) {
      const std::string inside = m.name.empty() ? prefix : fmt::format("{}{}.", prefix, m.name);
      flatten(table, inner, inside, offset + m.bit_offset, out, depth + 1);
    } else {
      const bool bit_field = m.bit_size != 0;
      const uint64_t size = bit_field ? m.bit_size : table.size_of(m.type) * 8;
      out.push_back({prefix + std::string(m.name), m.type, offset + m.bit_offset, size, bit_field,
                     type.is_bool && size != 0 ? 1 : size});
    }
  }
}

bool LayoutComparer::same_type(TypeId original, TypeId patched) {
  const std::pair key(a_.strip(original), b_.strip(patched));
  const auto [slot, fresh] = by_value_.emplace(key, true);  // true while it is being decided: pointers go in circles
  if (!fresh) return slot->second;
  const bool same = ++depth_ <= kMaxDepth * 4 && decide(key.first, key.second, true);
  --depth_;
  return by_value_[key] = same;
}

bool LayoutComparer::same_pointee(TypeId original, TypeId patched) {
  const std::pair key(a_.strip(original), b_.strip(patched));
  const auto [slot, fresh] = pointees_.emplace(key, true);
  if (!fresh) return slot->second;
  const bool same = ++depth_ <= kMaxDepth * 4 && decide(key.first, key.second, false);
  --depth_;
  return pointees_[key] = same;
}

bool LayoutComparer::decide(TypeId original, TypeId patched, bool by_value) {
  const Type& x = a_.at(original);
  const Type& y = b_.at(patched);
  if (is_number(x.kind) && is_number(y.kind)) {
    // The sign of an enumeration is the compiler's choice, that of a character is not in all BTF.
    const bool sign_counts = x.kind == TypeKind::integer && y.kind == TypeKind::integer && x.size > 1;
    if (x.kind == y.kind && x.kind == TypeKind::enumeration && !x.name.empty() && x.name == y.name) return true;
    return x.size == y.size && x.is_bool == y.is_bool && (!sign_counts || x.is_signed == y.is_signed);
  }
  if (x.kind != y.kind) return false;
  switch (x.kind) {
    case TypeKind::void_type:
      return true;
    case TypeKind::floating:
      return x.size == y.size;
    case TypeKind::pointer:
      return same_pointee(x.target, y.target);
    case TypeKind::array:
      return same_array(original, patched, by_value);
    case TypeKind::structure:
    case TypeKind::union_type:
      return same_record(original, patched, by_value);
    case TypeKind::function:
      return prototype_difference(original, patched).empty();
    default:
      return false;
  }
}

/// BTF knows the dimensions of an array as one.
bool LayoutComparer::same_array(TypeId original, TypeId patched, bool by_value) {
  const TypeTable::Elements before = a_.elements(original), now = b_.elements(patched);
  return (before.count == now.count || !by_value) && same_type(before.type, now.type);
}

/// Records of one name are compared on their own: here only their size can make a difference. Others by their members.
bool LayoutComparer::same_record(TypeId original, TypeId patched, bool by_value) {
  const Type& x = a_.at(original);
  const Type& y = b_.at(patched);
  if (x.name == y.name && !x.name.empty()) return !by_value || x.size == y.size;
  if (x.declaration || y.declaration || x.size != y.size) return false;
  std::vector<Flat> before, now;
  flatten(a_, original, "", 0, before);
  flatten(b_, patched, "", 0, now);
  return std::equal(before.begin(), before.end(), now.begin(), now.end(), [&](const Flat& f, const Flat& g) {
    return f.name == g.name && f.offset == g.offset && f.size == g.size && f.bit_field == g.bit_field &&
           same_type(f.type, g.type);
  });
}

std::string LayoutComparer::prototype_difference(TypeId original, TypeId patched) {
  const Type& x = a_.at(a_.strip(original));
  const Type& y = b_.at(b_.strip(patched));
  if (!same_type(x.target, y.target))
    return fmt::format("it returns {} instead of {}", b_.text(y.target), a_.text(x.target));
  if (x.parameters.size() != y.parameters.size() || x.variadic != y.variadic)
    return fmt::format("it takes {} argument{}{} instead of {}{}", y.parameters.size(),
                       y.parameters.size() == 1 ? "" : "s", y.variadic ? " and more" : "", x.parameters.size(),
                       x.variadic ? " and more" : "");
  for (size_t i = 0; i < x.parameters.size(); ++i) {
    if (!same_type(x.parameters[i], y.parameters[i]))
      return fmt::format("argument {} is {} instead of {}", i + 1, b_.text(y.parameters[i]), a_.text(x.parameters[i]));
  }
  return {};
}

/// The record that a member holds by value, alone or in an array, when it is its size that made the member's.
std::string LayoutComparer::embedded_resized(const Flat& before, const Flat& now) const {
  const TypeTable::Elements x = a_.elements(before.type), y = b_.elements(now.type);
  if (x.count != y.count) return {};
  const Type& old_record = a_.at(x.type);
  const Type& new_record = b_.at(y.type);
  if (!is_record(old_record.kind) || old_record.kind != new_record.kind || old_record.size == new_record.size)
    return {};
  if (old_record.name.empty() || old_record.name != new_record.name) return {};
  return fmt::format("{} {}", old_record.kind == TypeKind::structure ? "struct" : "union", old_record.name);
}

void LayoutComparer::compare_member(const Flat& before, const Flat& now, LayoutComparison& result) {
  using Kind = LayoutChange::Kind;
  LayoutChange change{Kind::moved, before.name, before.offset,        now.offset,
                      before.size, now.size,    a_.text(before.type), b_.text(now.type)};
  const auto function_in = [](const TypeTable& table, TypeId id) {
    const Type& type = table.at(table.elements(id).type);
    const TypeId target = type.kind == TypeKind::pointer ? table.strip(type.target) : 0;
    return table.at(target).kind == TypeKind::function ? target : 0;
  };
  const std::string embedded = embedded_resized(before, now);
  if (!embedded.empty()) result.because_of.push_back(embedded);
  if (before.bit_field != now.bit_field) {
    const bool same_bit = a_.at(a_.strip(before.type)).is_bool && before.used == 1 && now.size == 1 &&
                          before.offset == now.offset && now.bit_field;
    change.kind = same_bit ? Kind::bool_bit : Kind::bitfield;
    if (now.bit_field) change.new_type += " bit-field";
  } else if (before.offset != now.offset) {
    change.kind = Kind::moved;
  } else if (before.size != now.size) {
    change.kind = Kind::resized;
  } else if (!same_type(before.type, now.type)) {
    const bool functions = function_in(a_, before.type) != 0 && function_in(b_, now.type) != 0;
    change.kind = functions ? Kind::prototype : Kind::retyped;
  } else {
    return;
  }
  result.changes.push_back(std::move(change));
}

void LayoutComparer::compare_members(LayoutComparison& result) {
  using Kind = LayoutChange::Kind;
  std::vector<Flat> before, now;
  flatten(a_, result.original, "", 0, before);
  flatten(b_, result.patched, "", 0, now);
  std::map<std::string_view, size_t> by_name;
  for (size_t i = 0; i < now.size(); ++i) by_name.emplace(now[i].name, i);
  std::vector<bool> paired(now.size());
  std::vector<const Flat*> lost;
  for (const Flat& f : before) {
    const auto same = by_name.find(f.name);
    if (same == by_name.end()) {
      lost.push_back(&f);
    } else {
      paired[same->second] = true;
      compare_member(f, now[same->second], result);
    }
  }
  for (const Flat* f : lost) {
    LayoutChange change{Kind::removed, f->name, f->offset, 0, f->size, 0, a_.text(f->type), ""};
    for (size_t i = 0; i < now.size(); ++i) {
      const Flat& g = now[i];
      if (paired[i] || g.offset != f->offset || g.size != f->size || g.bit_field != f->bit_field ||
          !same_type(f->type, g.type))
        continue;
      paired[i] = true;
      change = {Kind::renamed, f->name, f->offset, g.offset, f->size, g.size, change.old_type, g.name};
      break;
    }
    result.changes.push_back(std::move(change));
  }
  for (size_t i = 0; i < now.size(); ++i) {
    if (paired[i]) continue;
    const Flat& g = now[i];
    const auto used = std::find_if(before.begin(), before.end(), [&](const Flat& f) { return f.overlaps(g); });
    const bool inside = g.offset + g.size <= result.old_size * 8;
    // Where both have a member that stays where it is, they share the place: a union, and nothing moves.
    const bool shares =
        used != before.end() && by_name.count(used->name) != 0 && now[by_name.at(used->name)].offset == used->offset;
    result.changes.push_back({used != before.end() || !inside ? Kind::added : Kind::added_in_hole, g.name, 0, g.offset,
                              0, g.size, shares ? used->name : "", b_.text(g.type)});
  }
}

void LayoutComparer::compare_enumerators(LayoutComparison& result) const {
  using Kind = LayoutChange::Kind;
  const auto& before = a_.at(result.original).enumerators;
  const auto& now = b_.at(result.patched).enumerators;
  std::map<std::string_view, int64_t> values;
  for (const Enumerator& e : now) values.emplace(e.name, e.value);
  for (const Enumerator& e : before) {
    const auto found = values.find(e.name);
    LayoutChange change{Kind::renumbered, std::string(e.name), static_cast<uint64_t>(e.value), 0, 0, 0, "", ""};
    if (found == values.end()) {
      const auto fresh = std::find_if(now.begin(), now.end(), [&](const Enumerator& n) {
        return n.value == e.value &&
               std::none_of(before.begin(), before.end(), [&](const Enumerator& b) { return b.name == n.name; });
      });
      change.kind = fresh == now.end() ? Kind::removed : Kind::renamed;
      change.old_type = "enumerator";
      if (fresh != now.end()) change.new_type = fresh->name;
    } else if (found->second != e.value) {
      change.new_offset = static_cast<uint64_t>(found->second);
      const bool last = std::none_of(before.begin(), before.end(), [&](const Enumerator& b) {
        return b.value > e.value && !is_counter_name(b.name);
      });
      if (last && is_counter_name(e.name)) change.kind = Kind::count;
    } else {
      continue;
    }
    result.changes.push_back(std::move(change));
  }
}

LayoutComparison LayoutComparer::compare(std::string_view name) {
  return compare_as(name, a_.find(name), b_.find(name));
}

LayoutComparison LayoutComparer::compare_as(std::string_view name, TypeId original, TypeId patched) {
  LayoutComparison result;
  result.name = name;
  result.original = original;
  result.patched = patched;
  if (result.original == 0 || result.patched == 0) return result;
  const Type& x = a_.at(result.original);
  result.old_size = x.size;
  result.new_size = b_.at(result.patched).size;
  if (x.kind == TypeKind::enumeration) {
    compare_enumerators(result);
  } else {
    compare_members(result);
  }
  const bool harmless =
      std::all_of(result.changes.begin(), result.changes.end(), [](const LayoutChange& c) { return c.is_harmless(); });
  if (result.old_size != result.new_size || !harmless) {
    result.state = LayoutState::changed;
  } else if (!result.changes.empty()) {
    result.state = LayoutState::hole_filled;
  }
  // Members behind a resized one move; anything else is a change of its own.
  const bool derived = std::all_of(result.changes.begin(), result.changes.end(), [](const LayoutChange& c) {
    return c.kind == LayoutChange::Kind::moved || c.kind == LayoutChange::Kind::resized;
  });
  if (!derived) result.because_of.clear();
  return result;
}

std::vector<LayoutComparison> LayoutComparer::differences() {
  std::vector<LayoutComparison> result;
  for (const auto& [name, id] : b_.named()) {
    LayoutComparison comparison = compare(name);
    if (comparison.state != LayoutState::same) result.push_back(std::move(comparison));
  }
  std::map<std::string_view, std::vector<TypeId>> by_enumerator;
  for (const TypeId id : a_.unnamed_enumerations()) {
    for (const Enumerator& e : a_.at(id).enumerators) by_enumerator[e.name].push_back(id);
  }
  // Several files may each have an enumeration with such a name: a kernel's table has them all.
  for (const TypeId id : b_.unnamed_enumerations()) {
    const auto& all = b_.at(id).enumerators;
    const auto known =
        std::find_if(all.begin(), all.end(), [&](const Enumerator& e) { return by_enumerator.contains(e.name); });
    if (known == all.end()) continue;
    std::vector<LayoutComparison> found;
    for (const TypeId before : by_enumerator.at(known->name))
      found.push_back(compare_as(fmt::format("enum of {}", known->name), before, id));
    const bool same =
        std::any_of(found.begin(), found.end(), [](const LayoutComparison& c) { return c.state == LayoutState::same; });
    if (!same) result.push_back(std::move(found.front()));
  }
  return result;
}

}  // namespace klp::elf
