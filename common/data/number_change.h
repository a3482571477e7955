// The parts of an augmentation that change sound, tables and tokens: docs/augmentation.md has the
// formulas.
#pragma once

#include <cstdint>

#include "common/data/augmentation_parts.h"
#include "common/data/sample_spec.h"

namespace distillery {

// Changes the stored bytes of an input, which need not be aligned, as view `view` of the sample has
// them. Finite numbers stay finite. REQUIRES: Suits(part, input), which is no picture.
void ChangeNumbers(const AugmentationPart& part, const InputSpec& input, int64_t seed,
                   int64_t stored_index, int64_t view, uint8_t* numbers);

}  // namespace distillery
