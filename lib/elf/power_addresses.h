// Addresses in linked POWER code (ppc64le): halves of distances from r2, put together.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace klp::elf {

struct PowerAddress {
  uint64_t offset = 0;   ///< in the code: of the instruction with the lower half
  uint64_t address = 0;  ///< that it computes, loads from or stores to
};

/// All that the code of one function may make, on whatever way through it: ascending, each once. `base` is what r2
/// holds. Copies of an upper half are followed, but not through memory: a compiler makes it anew instead. Where an
/// indirect jump goes is not known; it is taken to go everywhere in the function, which may name an address too many.
std::vector<PowerAddress> power_addresses(std::span<const std::byte> function, uint64_t base);

}  // namespace klp::elf
