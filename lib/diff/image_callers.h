// Who calls a function that ftrace cannot redirect.
#pragma once

#include <string>
#include <vector>

#include "diff/image_compare.h"
#include "diff/image_form.h"

namespace klp::diff {

/// Fills in `callers` of the changed functions without an ftrace site. `digests` are those of form.functions(). A
/// function whose name several have gets none: it cannot be told which of them is called.
void add_callers(const ImageForm& form, const std::vector<FormText>& digests, std::vector<ImageChange>& changes);

}  // namespace klp::diff
