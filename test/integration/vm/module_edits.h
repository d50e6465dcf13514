// Seeded edits of a finished livepatch module, in place: what a broken tool, a wrong kernel or a bad disk could make of
// it. Each touches something that a check of the kernel's loader, or its work, depends on. Code of lib/runtime is left
// alone: it runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "elf/elf_object.h"

namespace klp::test {

struct Edit {
  uint64_t offset = 0;  ///< in the file
  std::vector<std::byte> bytes;
};

struct Mutant {
  std::string what;  ///< for messages
  std::vector<Edit> edits;
  std::optional<uint64_t> length;  ///< the file is cut to it
};

/// A mutant of `module`: one of the kinds, at one of its places, both from `random`.
Mutant mutant_of(const elf::ElfObject& module, std::mt19937_64& random);

/// The module's file with the edits done.
std::vector<std::byte> apply(const elf::ElfObject& module, const Mutant& mutant);

}  // namespace klp::test
