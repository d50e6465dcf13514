#include "shipped_modules.h"

#include <algorithm>
#include <cstdlib>

#include "kernel/kernel.h"

namespace klp::test {

std::vector<fs::path> shipped_modules() {
  const char* name = std::getenv("KLP_TEST_KERNEL");
  const kernel::Kernel kernel =
      kernel::open_kernel({name != nullptr ? name : "debian:6.1-cloud-amd64", {}, {}, {}, {}, {}, {}, {}, {}});
  std::vector<fs::path> modules;
  for (const auto& entry : fs::recursive_directory_iterator(kernel.modules)) {
    const std::string file = entry.path().filename().string();
    if (file.ends_with(".ko") || file.ends_with(".ko.debug")) modules.push_back(entry.path());
  }
  std::sort(modules.begin(), modules.end());
  return modules;
}

}  // namespace klp::test
