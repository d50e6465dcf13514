// The guest's /init.
#pragma once

#include <string>

namespace klp::vm {

/// A shell script that mounts what livepatches are watched with, then serves commands on `channel`, the device of the
/// second serial port (guest_channel.h has the protocol). It never writes to the console, so that only the kernel does.
std::string guest_init_script(const std::string& channel);

}  // namespace klp::vm
