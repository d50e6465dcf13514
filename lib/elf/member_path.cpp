#include "elf/member_path.h"

#include <fmt/format.h>

namespace klp::elf {
namespace {

constexpr int kMaxDepth = 32;

/// Goes one level in; false when there is nothing deeper at `at` (counted from the start of `type`).
bool step_in(const TypeTable& types, TypeId& type, uint64_t& at, MemberPlace& place) {
  const Type& t = types.at(type);
  if (t.kind == TypeKind::array) {
    const uint64_t element = types.size_of(t.target);
    if (element == 0) return false;
    place.path += fmt::format("[{}]", at / element);
    place.offset += at / element * element;
    at %= element;
    type = types.strip(t.target);
    return true;
  }
  for (const Member& m : t.members) {
    const uint64_t start = m.bit_offset / 8;
    const uint64_t size = types.size_of(m.type);
    if (m.bit_size != 0 || at < start || at - start >= size) continue;
    if (!m.name.empty()) place.path += fmt::format(".{}", m.name);
    place.offset += start;
    at -= start;
    type = types.strip(m.type);
    return true;
  }
  return false;
}

}  // namespace

MemberPlace member_at(const TypeTable& types, TypeId type, uint64_t offset) {
  MemberPlace place;
  type = types.strip(type);
  for (int depth = 0; depth < kMaxDepth && step_in(types, type, offset, place); ++depth) {
  }
  place.size = types.size_of(type);
  return place;
}

}  // namespace klp::elf
