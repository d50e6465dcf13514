// ppc64le (ELF ABI version 2) behind the Arch interface.
#pragma once

#include "arch/arch.h"

namespace klp::arch {

const Arch& ppc64();

}  // namespace klp::arch
