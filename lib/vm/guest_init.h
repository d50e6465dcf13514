// The guest's /init.
#pragma once

#include <string_view>

namespace klp::vm {

/// A shell script that mounts what livepatches are watched with, then serves commands on the second serial port
/// (guest_channel.h has the protocol). It never writes to the console, so that only the kernel does.
extern const std::string_view guest_init_script;

}  // namespace klp::vm
