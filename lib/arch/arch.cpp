#include "arch/arch.h"

#include <elf.h>

#include "arch/x86_64/x86_64.h"
#include "support/error.h"

namespace klp::arch {

const Arch& arch_for(uint16_t machine) {
  switch (machine) {
    case EM_X86_64:
      return x86_64();
    default:
      fail("machine type {} is not supported (supported: x86_64)", machine);
  }
}

}  // namespace klp::arch
