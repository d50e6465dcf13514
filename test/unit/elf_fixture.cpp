#include "elf_fixture.h"

#include <fmt/format.h>

#include "support/error.h"

namespace klp::test {

using elf::BuilderSection;
using elf::BuilderSymbol;
using elf::SymbolPlace;

std::vector<std::byte> to_bytes(std::initializer_list<int> values) {
  std::vector<std::byte> result;
  for (const int value : values) result.push_back(static_cast<std::byte>(value));
  return result;
}

std::vector<std::byte> to_bytes(std::string_view text) {
  const auto* start = reinterpret_cast<const std::byte*>(text.data());
  return {start, start + text.size()};
}

Piece& Piece::bytes(std::vector<std::byte> content) {
  if (symbol_ != nullptr) symbol_->size = content.size();
  section_->data = std::move(content);
  return *this;
}

Piece& Piece::global() {
  symbol_->bind = elf::kStbGlobal;
  return *this;
}

Piece& Piece::weak() {
  symbol_->bind = elf::kStbWeak;
  return *this;
}

Piece& Piece::bss() {
  section_->name = ".bss." + symbol_->name;
  section_->type = elf::kShtNobits;
  section_->nobits_size = section_->data.size();
  section_->data.clear();
  return *this;
}

Piece& Piece::refers(uint64_t offset, uint32_t type, std::string_view target, int64_t addend) {
  object_->builder().relocations(*section_).push_back({offset, type, &object_->symbol(target), addend});
  return *this;
}

Piece& Piece::refers_to_section(uint64_t offset, uint32_t type, std::string_view section, int64_t addend) {
  BuilderSymbol& symbol = object_->builder().section_symbol(object_->section(section));
  object_->builder().relocations(*section_).push_back({offset, type, &symbol, addend});
  return *this;
}

Piece& Piece::calls(std::string_view target, uint64_t offset) {
  return refers(offset, kRPlt32, target, -4);
}

Piece& Piece::calls(std::string_view target) {
  std::vector<std::byte> content = section_->data;
  const uint64_t offset = content.size() + 1;
  const auto call = to_bytes({0xe8, 0, 0, 0, 0});
  content.insert(content.end(), call.begin(), call.end());
  return bytes(std::move(content)).calls(target, offset);
}

Piece& Piece::uses(std::string_view target, uint64_t offset) {
  return refers(offset, kRPc32, target, -4);
}

Piece& Piece::uses_string(std::string_view string) {
  const auto at = static_cast<int64_t>(object_->string(string));
  std::vector<std::byte> content = section_->data;
  const uint64_t offset = content.size() + 3;
  const auto move = to_bytes({0x48, 0xc7, 0xc7, 0, 0, 0, 0});
  content.insert(content.end(), move.begin(), move.end());
  return bytes(std::move(content)).refers_to_section(offset, kR32S, ".rodata.str1.1", at);
}

void ObjectFixture::file(std::string_view name) {
  BuilderSymbol symbol;
  symbol.name = name;
  symbol.type = elf::kSttFile;
  symbol.place = SymbolPlace::absolute;
  builder_.add_symbol(std::move(symbol));
}

Piece& ObjectFixture::own_section(std::string_view prefix, std::string_view name, uint64_t flags, uint8_t type) {
  Piece& piece = table(fmt::format("{}.{}", prefix, name), {}, flags, 1);
  for (BuilderSymbol& known : builder_.symbols()) {
    if (known.name == name && known.place == SymbolPlace::undefined) piece.symbol_ = &known;
  }
  if (piece.symbol_ == nullptr) piece.symbol_ = &builder_.add_symbol({});
  piece.symbol_->name = name;
  piece.symbol_->type = type;
  piece.symbol_->bind = elf::kStbLocal;
  piece.symbol_->place = SymbolPlace::section;
  piece.symbol_->section = piece.section_;
  return piece;
}

Piece& ObjectFixture::function(std::string_view name, std::vector<std::byte> content) {
  Piece& piece = own_section(".text", name, elf::kShfAlloc | elf::kShfExec, elf::kSttFunc);
  piece.section_->addralign = 16;
  return piece.bytes(std::move(content));
}

Piece& ObjectFixture::data(std::string_view name, uint64_t size) {
  Piece& piece = own_section(".data", name, elf::kShfAlloc | elf::kShfWrite, elf::kSttObject);
  piece.section_->addralign = 8;
  return piece.bytes(std::vector<std::byte>(size));
}

Piece& ObjectFixture::rodata(std::string_view name, uint64_t size) {
  Piece& piece = own_section(".rodata", name, elf::kShfAlloc, elf::kSttObject);
  piece.section_->addralign = 8;
  return piece.bytes(std::vector<std::byte>(size));
}

Piece& ObjectFixture::table(std::string_view section, std::vector<std::byte> content, uint64_t flags, uint64_t align) {
  Piece& piece = pieces_.emplace_back();
  piece.object_ = this;
  BuilderSection made;
  made.name = section;
  made.flags = flags;
  made.addralign = align;
  made.data = std::move(content);
  piece.section_ = &builder_.add_section(std::move(made));
  return piece;
}

uint64_t ObjectFixture::string(std::string_view text, std::string_view section_name) {
  BuilderSection* strings = nullptr;
  for (BuilderSection& known : builder_.sections()) {
    if (known.name == section_name) strings = &known;
  }
  if (strings == nullptr) {
    strings = table(section_name, {}, elf::kShfAlloc | elf::kShfMerge | elf::kShfStrings, 1).section_;
    strings->entsize = 1;
  }
  const auto [entry, is_new] =
      strings_.try_emplace({std::string(section_name), std::string(text)}, strings->data.size());
  if (is_new) {
    const auto content = to_bytes(text);
    strings->data.insert(strings->data.end(), content.begin(), content.end());
    strings->data.push_back(std::byte{0});
  }
  return entry->second;
}

BuilderSymbol& ObjectFixture::label(std::string_view name, Piece& piece, uint64_t offset, uint64_t size, uint8_t type) {
  BuilderSymbol symbol;
  symbol.name = name;
  symbol.value = offset;
  symbol.size = size;
  symbol.type = type;
  symbol.place = SymbolPlace::section;
  symbol.section = piece.section_;
  return builder_.add_symbol(std::move(symbol));
}

BuilderSymbol& ObjectFixture::undefined(std::string_view name, bool weak) {
  BuilderSymbol symbol;
  symbol.name = name;
  symbol.bind = weak ? elf::kStbWeak : elf::kStbGlobal;
  return builder_.add_symbol(std::move(symbol));
}

void ObjectFixture::module(std::initializer_list<std::string_view> modinfo) {
  std::string content;
  for (const std::string_view entry : modinfo) content.append(entry).push_back('\0');
  table(".modinfo", to_bytes(content), elf::kShfAlloc, 1);
  table(".gnu.linkonce.this_module", std::vector<std::byte>(896), elf::kShfAlloc | elf::kShfWrite, 64);
}

BuilderSymbol& ObjectFixture::symbol(std::string_view name) {
  for (BuilderSymbol& known : builder_.symbols()) {
    if (known.name == name && known.type != elf::kSttSection && known.type != elf::kSttFile) return known;
  }
  return undefined(name);
}

BuilderSection& ObjectFixture::section(std::string_view name) {
  for (BuilderSection& known : builder_.sections()) {
    if (known.name == name) return known;
  }
  fail("the fixture has no section {}", name);
}

elf::ElfObject ObjectFixture::result(std::string_view name) {
  return elf::ElfObject::parse(std::string(name), builder_.serialize());
}

}  // namespace klp::test
