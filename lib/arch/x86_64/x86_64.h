// x86_64 behind the Arch interface.
#pragma once

#include "arch/arch.h"

namespace klp::arch {

const Arch& x86_64();

}  // namespace klp::arch
