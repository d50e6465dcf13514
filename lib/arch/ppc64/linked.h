// What GNU ld makes of ppc64le code of the medium and the large model.
#pragma once

#include "arch/linked_code.h"

namespace klp::arch {

const LinkedCode& ppc64_linked_code();

}  // namespace klp::arch
