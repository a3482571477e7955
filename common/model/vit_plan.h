// vit:LAYERS-HEADS-WIDTH-PATCH, a vision transformer (Dosovitskiy et al., "An image is worth 16x16
// words", 2021) for small pictures: patches of PATCH x PATCH pixels become positions of WIDTH
// numbers by a convolution, each with a learned place; then a transformer's encoder; then the mean
// over the positions in place of a class token (Beyer, Zhai, Kolesnikov, "Better plain ViT
// baselines for ImageNet-1k", 2022). Options act as those of transformer.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/sample_spec.h"
#include "common/model/plan_builder.h"

namespace distillery {

// INVALID_ARGUMENT for sizes that cannot be; for data other than pictures, or float numbers
// [channels, height, width], with one answer each; for sides that are no multiples of PATCH.
// REQUIRES: the name starts with "vit:".
absl::StatusOr<std::vector<Layer>> PlanVit(const std::string& name,
                                           const ArchitectureOptions& options,
                                           const SampleSpec& spec, int64_t answers);

}  // namespace distillery
