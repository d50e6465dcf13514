// The line protocol between us and the guest's shell, over the second serial port.
//
// Host to guest, one line a command: "ID ESCAPED\n", where ESCAPED is the command with backslash, newline, carriage
// return and tab written as \\, \n, \r, \t (printf %b undoes it). "put ID SIZE NAME\n" and SIZE characters of base64
// make a file. Guest to host: "klp-ready\n" once; for each command "klp-begin ID STATUS\n", base64 lines, "klp-end
// ID\n". Output is base64, so any byte may be in it, and nothing in it can be taken for a mark.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vm/vm.h"

namespace klp::vm {

/// The line that asks for `command`. Error when it has a NUL byte.
std::string command_line(uint64_t id, std::string_view command);

/// The lines that put `content` into the guest's file `name`.
std::string put_lines(uint64_t id, std::string_view name, std::string_view content);

/// True when the guest's shell has said that it is ready.
bool is_ready(std::string_view received);

/// The line that ends the answer to command `id`.
std::string end_mark(uint64_t id);

/// The answer to command `id`, when all of it was received; other lines are passed over. Error for malformed base64.
std::optional<GuestResult> find_answer(std::string_view received, uint64_t id);

std::string base64_encode(std::string_view bytes);

/// Passes over line ends. Error for anything else that is no base64.
std::string base64_decode(std::string_view text);

}  // namespace klp::vm
