// libFuzzer targets: fuzz-parse (ElfObject), fuzz-extract (two objects through the engine), fuzz-module (inspect and
// the last step of build). Half of the mutations are libFuzzer's, half those of mutate.h, which know the format.
#include <algorithm>
#include <cstring>

#include "engine_run.h"
#include "mutate.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace {

using klp::test::Bytes;

Bytes bytes_of(const uint8_t* data, size_t size) {
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  return {bytes, bytes + size};
}

size_t put(const Bytes& bytes, uint8_t* data, size_t max_size) {
  const size_t size = std::min(bytes.size(), max_size);
  std::memcpy(data, bytes.data(), size);
  return size;
}

/// One object of the input of fuzz-extract, or both alike.
Bytes mutate_joined(const Bytes& input, klp::test::Random& random) {
  uint32_t size = 0;
  if (input.size() > 4) std::memcpy(&size, input.data(), 4);
  const Bytes rest(input.begin() + std::min<std::ptrdiff_t>(4, static_cast<std::ptrdiff_t>(input.size())), input.end());
  if (size >= rest.size()) {
    const Bytes changed = klp::test::mutate(rest, random).bytes;
    if (random.below(2) == 0) return klp::test::join(rest, changed);
    Bytes result = klp::test::join({}, changed);
    std::memset(result.data(), 0xff, 4);  // both the same
    return result;
  }
  const auto cut = rest.begin() + static_cast<std::ptrdiff_t>(size);
  Bytes first(rest.begin(), cut), second(cut, rest.end());
  (random.below(2) == 0 ? first : second) = klp::test::mutate(random.below(2) == 0 ? first : second, random).bytes;
  return klp::test::join(first, second);
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  klp::test::Random random(seed);
  if (size < 64 || random.below(2) == 0) return LLVMFuzzerMutate(data, size, max_size);
  const Bytes input = bytes_of(data, size);
#ifdef KLP_FUZZ_extract
  return put(mutate_joined(input, random), data, max_size);
#else
  return put(klp::test::mutate(input, random).bytes, data, max_size);
#endif
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const Bytes input = bytes_of(data, size);
#if defined(KLP_FUZZ_extract)
  klp::test::run_joined(input);
#elif defined(KLP_FUZZ_module)
  klp::test::run_module(input);
#else
  klp::test::run_parse(input);
#endif
  return 0;
}
