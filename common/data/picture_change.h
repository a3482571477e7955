// The parts of an augmentation that give pictures new values: docs/augmentation.md has the
// formulas. All is computed in whole numbers, except two square roots of IEEE 754.
#pragma once

#include <cstdint>

#include "common/base/philox.h"
#include "common/data/augmentation_parts.h"
#include "common/data/sample_spec.h"

namespace distillery {

// Whether the part is one of these; the others move whole pixels.
bool ChangesPictures(const AugmentationPart& part);

// Whether ChangePicture reads another buffer than it writes.
bool NeedsSource(const AugmentationPart& part);

// Changes `picture` [channels, height, width], of values 0 to `pixel_max`, as `part` does with what
// it draws from `random`. `source` holds the same picture if NeedsSource(part), and does not
// overlap it. REQUIRES: ChangesPictures(part).
void ChangePicture(const AugmentationPart& part, const ImageShape& shape, int pixel_max,
                   const uint8_t* source, RandomStream* random, uint8_t* picture);

}  // namespace distillery
