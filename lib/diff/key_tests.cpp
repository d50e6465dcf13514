#include "diff/key_tests.h"

#include <algorithm>
#include <cstring>

#include "arch/arch.h"
#include "diff/closure.h"
#include "support/error.h"

namespace klp::diff {
namespace {

/// Flags in the low bits of the reference to the key: whether the branch is taken while the key is off, and who makes
/// the site's first NOP (include/linux/jump_label.h, Linux 4.19 and later).
constexpr int64_t kTakenWhenOff = 1, kFlags = 3;

void put_distance(std::vector<std::byte>& code, uint64_t field, uint64_t from_end, uint64_t to) {
  const auto distance = static_cast<int32_t>(static_cast<int64_t>(to) - static_cast<int64_t>(from_end));
  std::memcpy(code.data() + field, &distance, sizeof distance);
}

}  // namespace

std::optional<KeyTest> key_test(const TableEntry& entry, const Piece& function, const Pieces& patched) {
  if (!entry.spec->switches_branch || entry.owner_offset < 0) return std::nullopt;
  const std::vector<uint32_t>& fields = entry.layout->fields;
  const elf::Relocation *target = nullptr, *key = nullptr;
  for (const elf::Relocation* r : relocations_of(entry)) {
    const uint64_t field = r->offset - entry.offset;
    if (field == fields.at(1)) target = r;
    if (field == fields.back()) key = r;
  }
  const auto site = static_cast<uint64_t>(entry.owner_offset);
  if (target == nullptr || key == nullptr || site >= function.size) return std::nullopt;
  KeyTest test{site, {}, patched.resolve(*key), patched.resolve(*target)};
  const bool taken_when_off = (test.key.offset & kTakenWhenOff) != 0;
  test.key.offset &= ~kFlags;
  const auto code = patched.arch().key_test(function.data().subspan(site), taken_when_off);
  if (!code) return std::nullopt;
  test.code = *code;
  return test;
}

AppendedCode place(const KeyTest& test, PlanSection& text, PlanSymbol& function) {
  const arch::KeyTestCode& code = test.code;
  const uint64_t site = function.value + test.site, start = text.data.size();
  check(site + code.jump.size() <= function.value + function.size && start == function.value + function.size,
        "{}: the site of a static branch at {:#x} lies outside", text.name, test.site);
  std::vector<std::byte> jump = code.jump, body = code.test;
  put_distance(jump, jump.size() - 4, site + jump.size(), start);
  put_distance(body, code.back, start + code.back + 4, site + jump.size());
  std::erase_if(text.relocations,
                [&](const PlanRelocation& r) { return r.offset >= site && r.offset < site + jump.size(); });
  std::copy(jump.begin(), jump.end(), text.data.begin() + static_cast<int64_t>(site));
  text.data.insert(text.data.end(), body.begin(), body.end());
  function.size += body.size();
  return {test.site, start - function.value, start - function.value + body.size()};
}

}  // namespace klp::diff
