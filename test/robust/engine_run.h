// The program's work on bytes from outside, without files: what `extract`, the last step of `build` and `inspect` do.
// Shared by the mutation test, the fuzz targets and the replay of their corpus.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace klp::test {

using Bytes = std::vector<std::byte>;

/// ElfObject::parse, then every query of the object. Returns "ok" or the Error's text; anything else that is thrown
/// gets out.
std::string run_parse(const Bytes& object);

/// Both objects through the engine as `klp-diff extract` does it without a kernel: analyse, dump, emit, serialize; what
/// was written must be readable. Returns "unchanged", "refused" and the reasons, "ok" or the Error's text.
std::string run_extract(const Bytes& original, const Bytes& patched);

/// Both through `klp-diff compare`: as objects of one unit, as modules, or as linked images, with what it tells beside
/// code. Returns "ok" or the Error's text.
std::string run_compare(const Bytes& before, const Bytes& after);

/// A livepatch module: read as `inspect` does, and finalised as `build` does. Returns "ok" or the Error's text.
std::string run_module(const Bytes& module);

/// The input of the fuzz target for extract: 4 bytes with the first object's size, both objects. A size that leaves
/// nothing for the second object: the first is compared with itself.
Bytes join(const Bytes& original, const Bytes& patched);
std::string run_joined(std::span<const std::byte> input);

}  // namespace klp::test
