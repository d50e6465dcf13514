#include "verify/machine.h"

#include <elf.h>

#include "verify/load_state.h"

namespace klp::verify {

uint64_t Field::address() const {
  return target.address + relocation.offset;
}

uint64_t Field::value() const {
  return symbol.value + static_cast<uint64_t>(relocation.addend);
}

std::unique_ptr<Machine> machine_for(uint16_t machine) {
  if (machine == EM_X86_64) return x86_64::machine();
  if (machine == EM_PPC64) return ppc64::machine();
  throw Error(fmt::format("machine {} is not supported", machine));
}

}  // namespace klp::verify
