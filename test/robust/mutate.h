// Mutations of ELF objects that get past the first checks.
//
// Random bytes are mostly thrown out by the first check that sees them. So the fields of headers, symbols and
// relocations are found (leniently: what is mutated may be a mutation already) and set to the values at which code goes
// wrong: 0, 1, all ones, sizes off by one, another record's value. A whole column can be set, records swapped, sections
// laid over each other, strings robbed of their ends, DWARF and code overwritten.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace klp::test {

/// splitmix64: the same numbers on every machine and with every library.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  /// A number below `limit`; 0 when there is none.
  uint64_t below(uint64_t limit) { return limit == 0 ? 0 : next() % limit; }

 private:
  uint64_t state_;
};

struct Mutation {
  std::vector<std::byte> bytes;
  std::string what;  ///< the edits, for messages
};

/// One to four edits of `object`, which need not be valid. Never longer than 64 bytes more than `object`.
Mutation mutate(std::span<const std::byte> object, Random& random);

}  // namespace klp::test
