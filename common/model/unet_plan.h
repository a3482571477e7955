// unet:CHANNELS-LEVELS, a small U-Net (Ronneberger, Fischer, Brox 2015) that answers at each pixel.
// LEVELS, 2 or 3 (the default), are the sizes in which it looks at a picture, each half of the one
// before and of twice the channels, CHANNELS at the first. On the way down and up each level has
// two padded 3 x 3 convolutions, each with BatchNorm and ReLU; down by max pooling, up by repeating
// each pixel, beside which then stand the level's channels of the way down. `dropout` is that of
// the lowest level.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/sample_spec.h"
#include "common/model/plan_builder.h"

namespace distillery {

// INVALID_ARGUMENT for sizes that cannot be; for data other than pictures or float numbers
// [channels, height, width] with positions [height, width]; for sides that cannot be halved often
// enough. REQUIRES: the name starts with "unet:".
absl::StatusOr<std::vector<Layer>> PlanUnet(const std::string& name,
                                            const ArchitectureOptions& options,
                                            const SampleSpec& spec, int64_t answers);

}  // namespace distillery
