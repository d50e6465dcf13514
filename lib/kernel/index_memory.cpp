// A kernel's index from units given in memory.
#include "kernel/index.h"

namespace klp::kernel {

KernelIndex KernelIndex::from_units(std::vector<Unit> units,
                                    std::map<std::string, std::vector<std::string>> including) {
  KernelIndex index;
  index.including_units_ = std::move(including);
  for (Unit& unit : units) {
    const std::string name = unit.unit;
    index.compiling_units_[unit.source].push_back(name);
    index.units_[name] = std::move(unit);
  }
  return index;
}

}  // namespace klp::kernel
