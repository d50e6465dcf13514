#include <catch2/catch.hpp>

#include <elf.h>

#include <cstring>
#include <vector>

#include "support/error.h"
#include "vm/kcore.h"

using namespace klp::vm;

namespace {

std::vector<std::byte> make_headers(const std::vector<KcoreSegment>& segments) {
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_phoff = sizeof header;
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = static_cast<Elf64_Half>(segments.size() + 1);
  std::vector<std::byte> bytes(sizeof header + header.e_phnum * sizeof(Elf64_Phdr));
  std::memcpy(bytes.data(), &header, sizeof header);
  Elf64_Phdr note{};
  note.p_type = PT_NOTE;
  std::memcpy(bytes.data() + sizeof header, &note, sizeof note);
  for (size_t i = 0; i < segments.size(); ++i) {
    Elf64_Phdr load{};
    load.p_type = PT_LOAD;
    load.p_vaddr = segments[i].address;
    load.p_memsz = segments[i].size;
    load.p_offset = segments[i].offset;
    std::memcpy(bytes.data() + sizeof header + (i + 1) * sizeof load, &load, sizeof load);
  }
  return bytes;
}

}  // namespace

TEST_CASE("kernel addresses are found in the core file's segments", "[vm]") {
  const auto bytes =
      make_headers({{0xffffffff81000000, 0x2000, 0x7fff81002000}, {0xffffffffc0000000, 0x1000, 0x7fffc0002000}});
  CHECK(kcore_headers_size(std::span(bytes).first(64)) == bytes.size());
  const auto segments = kcore_segments(bytes);
  REQUIRE(segments.size() == 2);
  CHECK(kcore_offset(segments, 0xffffffff81000000, 1) == 0x7fff81002000);
  CHECK(kcore_offset(segments, 0xffffffff81000010, 0x1ff0) == 0x7fff81002010);
  CHECK(kcore_offset(segments, 0xffffffffc0000fff, 1) == 0x7fffc0002fff);
  CHECK_THROWS_AS(kcore_offset(segments, 0xffffffff81000010, 0x1ff1), klp::Error);
  CHECK_THROWS_AS(kcore_offset(segments, 0x1000, 1), klp::Error);
  CHECK_THROWS_AS(kcore_offset(segments, UINT64_MAX, 2), klp::Error);
}

TEST_CASE("what is no core file is an error", "[vm]") {
  auto bytes = make_headers({});
  CHECK_THROWS_AS(kcore_segments(std::span(bytes).first(100)), klp::Error);
  CHECK_THROWS_AS(kcore_headers_size(std::span(bytes).first(10)), klp::Error);
  bytes[0] = std::byte{0};
  CHECK_THROWS_AS(kcore_segments(bytes), klp::Error);
}
