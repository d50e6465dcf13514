// Writes and reads the lines of the protocol; no state, so that it can be tested without a guest.
#include "vm/guest_channel.h"

#include <array>

namespace klp::vm {
namespace {

constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Value of each base64 character, -1 for others.
constexpr std::array<int8_t, 256> make_values() {
  std::array<int8_t, 256> values{};
  for (int8_t& value : values) value = -1;
  for (size_t i = 0; i < alphabet.size(); ++i) values[static_cast<unsigned char>(alphabet[i])] = static_cast<int8_t>(i);
  return values;
}
constexpr std::array<int8_t, 256> values = make_values();

}  // namespace

std::string command_line(uint64_t id, std::string_view command) {
  check(command.find('\0') == std::string_view::npos, "a guest command has a NUL byte");
  std::string line = fmt::format("{} ", id);
  for (const char c : command) {
    switch (c) {
      case '\\':
        line += "\\\\";
        break;
      case '\n':
        line += "\\n";
        break;
      case '\r':
        line += "\\r";
        break;
      case '\t':
        line += "\\t";
        break;
      default:
        line += c;
    }
  }
  return line + "\n";
}

std::string put_lines(uint64_t id, std::string_view name, std::string_view content) {
  const std::string encoded = base64_encode(content);
  return fmt::format("put {} {} {}\n{}", id, encoded.size(), name, encoded);
}

bool is_ready(std::string_view received) {
  return received.find("klp-ready\n") != std::string_view::npos;
}

std::string end_mark(uint64_t id) {
  return fmt::format("klp-end {}\n", id);
}

std::optional<GuestResult> find_answer(std::string_view received, uint64_t id) {
  const std::string begin = fmt::format("klp-begin {} ", id);
  const std::string end = end_mark(id);
  const size_t begin_at = received.find(begin);
  if (begin_at == std::string_view::npos) return std::nullopt;
  const size_t status_at = begin_at + begin.size();
  const size_t line_end = received.find('\n', status_at);
  const size_t end_at = received.find(end, status_at);
  if (line_end == std::string_view::npos || end_at == std::string_view::npos || end_at < line_end) return std::nullopt;
  GuestResult result;
  for (const char c : received.substr(status_at, line_end - status_at)) {
    check(c >= '0' && c <= '9', "the guest sent a malformed exit status");
    result.status = result.status * 10 + (c - '0');
  }
  result.output = base64_decode(received.substr(line_end + 1, end_at - line_end - 1));
  return result;
}

std::string base64_encode(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k)
      group = group << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0);
    for (size_t k = 0; k < 4; ++k) text += i + k <= bytes.size() ? alphabet[group >> (18 - 6 * k) & 63] : '=';
  }
  return text;
}

std::string base64_decode(std::string_view text) {
  std::string bytes;
  uint32_t group = 0;
  unsigned bits = 0;
  for (const char c : text) {
    if (c == '\n' || c == '\r' || c == '=') continue;
    const int value = values[static_cast<unsigned char>(c)];
    check(value >= 0, "the guest sent malformed base64");
    group = group << 6 | static_cast<uint32_t>(value);
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes += static_cast<char>(group >> bits & 0xff);
  }
  return bytes;
}

}  // namespace klp::vm
