#include "elf/klp_abi.h"

#include <charconv>

#include <fmt/format.h>

namespace klp::elf {
namespace {

constexpr std::string_view kTravel = ".klp.ref.";
constexpr std::string_view kSym = ".klp.sym.";
constexpr std::string_view kRela = ".klp.rela.";
constexpr size_t kMaxObjectName = 55;   // MODULE_NAME_LEN - 1, the width in the kernel's scan format
constexpr size_t kMaxSymbolName = 511;  // KSYM_NAME_LEN - 1 since 6.1

/// Splits "OBJECT.rest" at the first dot.
std::optional<std::string_view> take_object(std::string_view& text) {
  const size_t dot = text.find('.');
  if (dot == std::string_view::npos || dot == 0 || dot > kMaxObjectName) return std::nullopt;
  const std::string_view object = text.substr(0, dot);
  text.remove_prefix(dot + 1);
  return object;
}

/// Splits "symbol,POS".
bool take_symbol(std::string_view text, KlpReference& reference) {
  const size_t comma = text.find(',');
  if (comma == std::string_view::npos || comma == 0 || comma > kMaxSymbolName) return false;
  reference.symbol = text.substr(0, comma);
  const std::string_view number = text.substr(comma + 1);
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), reference.sympos);
  return error == std::errc() && end == number.data() + number.size() && !number.empty();
}

}  // namespace

std::string travel_name(const KlpReference& r) {
  return fmt::format("{}{}.{}.{},{}", kTravel, r.patched_object, r.symbol_object, r.symbol, r.sympos);
}

std::optional<KlpReference> parse_travel_name(std::string_view name) {
  if (!name.starts_with(kTravel)) return std::nullopt;
  name.remove_prefix(kTravel.size());
  KlpReference reference;
  const auto patched = take_object(name);
  if (!patched) return std::nullopt;
  const auto owner = take_object(name);
  if (!owner || !take_symbol(name, reference)) return std::nullopt;
  reference.patched_object = *patched;
  reference.symbol_object = *owner;
  return reference;
}

std::string klp_symbol_name(const KlpReference& r) {
  return fmt::format("{}{}.{},{}", kSym, r.symbol_object, r.symbol, r.sympos);
}

std::optional<KlpReference> parse_klp_symbol_name(std::string_view name) {
  if (!name.starts_with(kSym)) return std::nullopt;
  name.remove_prefix(kSym.size());
  KlpReference reference;
  const auto owner = take_object(name);
  if (!owner || !take_symbol(name, reference)) return std::nullopt;
  reference.symbol_object = *owner;
  return reference;
}

std::string_view to_string(CallbackKind kind) {
  switch (kind) {
    case CallbackKind::pre_patch:
      return "pre_patch";
    case CallbackKind::post_patch:
      return "post_patch";
    case CallbackKind::pre_unpatch:
      return "pre_unpatch";
    case CallbackKind::post_unpatch:
      break;
  }
  return "post_unpatch";
}

std::string klp_rela_name(std::string_view object, std::string_view section) {
  return fmt::format("{}{}.{}", kRela, object, section);
}

std::optional<std::string> klp_rela_object(std::string_view name) {
  if (!name.starts_with(kRela)) return std::nullopt;
  name.remove_prefix(kRela.size());
  const auto object = take_object(name);
  if (!object) return std::nullopt;
  return std::string(*object);
}

}  // namespace klp::elf
