#include "arch/arch.h"

#include <elf.h>

#include "arch/linked_code.h"
#include "arch/ppc64/linked.h"
#include "arch/ppc64/ppc64.h"
#include "arch/x86_64/x86_64.h"
#include "support/error.h"

namespace klp::arch {

void clear_field(const FieldKind& kind, std::span<std::byte> bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] &= static_cast<std::byte>(~(kind.mask >> (8 * i)));
}

const LinkedCode* linked_code_for(uint16_t machine) {
  return machine == EM_PPC64 ? &ppc64_linked_code() : nullptr;
}

const Arch& arch_for(uint16_t machine) {
  switch (machine) {
    case EM_X86_64:
      return x86_64();
    case EM_PPC64:
      return ppc64();
    default:
      fail("machine type {} is not supported (supported: x86_64, ppc64le)", machine);
  }
}

}  // namespace klp::arch
