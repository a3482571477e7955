// mobilenetv2 and mobilenetv2:PERCENT, MobileNetV2 (Sandler et al. 2018) with so many percent of
// the paper's channels, each count rounded to a multiple of 8 as the authors' code has it. The form
// for small images: of the five places where the paper's network halves a picture, the first two
// keep its size. Names of parameters are those of torchvision.models.mobilenet_v2.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/sample_spec.h"
#include "common/model/plan_builder.h"

namespace distillery {

// INVALID_ARGUMENT for another name or a share outside 10 to 400 percent; for data other than
// pictures, or float numbers [channels, height, width], with one answer each; for images below
// 8 x 8. `dropout` is that before the last layer. REQUIRES: the name starts with "mobilenetv2".
absl::StatusOr<std::vector<Layer>> PlanMobilenet(const std::string& name,
                                                 const ArchitectureOptions& options,
                                                 const SampleSpec& spec, int64_t answers);

}  // namespace distillery
