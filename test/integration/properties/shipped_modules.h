// The modules of the fetched kernel (KLP_TEST_KERNEL), with symbols and debug information.
#pragma once

#include <vector>

#include "support/files.h"

namespace klp::test {

/// By path.
std::vector<fs::path> shipped_modules();

}  // namespace klp::test
