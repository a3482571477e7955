// Residual networks in the form for small images (CIFAR): a 3 x 3 convolution to 16 channels, three
// stages of blocks, the second and third at half the size of the one before, global average
// pooling, one linear layer.
//
//   resnetN   N = 6n + 2, 8 to 110. He, Zhang, Ren, Sun: "Deep residual learning for image
//             recognition" (2015), section 4.2: n blocks per stage of 16, 32, 64 channels.
//   wrn-D-W   D = 6n + 4, 10 to 100, W 1 to 20. Zagoruyko, Komodakis: "Wide residual networks"
//             (2016): pre-activation, 16W, 32W, 64W channels; dropout, if any, between the two
//             convolutions of a block.
// The shortcuts of resnetN that change the shape are a 1 x 1 convolution with BatchNorm, as in the
// networks of that name on which distillation is compared (Tian, Krishnan, Isola: "Contrastive
// representation distillation", 2020; github.com/HobbitLong/RepDistiller, models/resnet.py and
// models/wrn.py), not the parameter-free ones of the paper. Names of parameters are theirs too.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/sample_spec.h"
#include "common/model/plan_builder.h"

namespace distillery {

// The names that lists of what is known show: "resnet8" and so on, and "wrn-D-W" for all wide ones.
const std::vector<std::string>& ResnetNames();
const std::vector<std::string>& WideNames();

// INVALID_ARGUMENT for a depth or width that there is not, with the nearest one and what is known;
// for images below 8 x 8 and for other data; for dropout in a resnetN. REQUIRES: the name starts
// with "resnet".
absl::StatusOr<std::vector<Layer>> PlanResnet(const std::string& name,
                                              const ArchitectureOptions& options,
                                              const SampleSpec& spec, int64_t answers);
// INVALID_ARGUMENT as PlanResnet gives it, except that dropout is taken. REQUIRES: the name starts
// with "wrn-".
absl::StatusOr<std::vector<Layer>> PlanWide(const std::string& name,
                                            const ArchitectureOptions& options,
                                            const SampleSpec& spec, int64_t answers);

}  // namespace distillery
