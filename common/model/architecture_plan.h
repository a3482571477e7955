// A built-in architecture as a list of layers. Needs no LibTorch. The names of architectures are:
//
//   mlp:D-H1-...-C   fully connected with ReLU; D input pixels, C classes
//   lenet            LeNet-5 (LeCun et al. 1998) with ReLU and max pooling
//   resnetN, wrn-D-W residual networks for small images, see residual_plan.h
//
// All take the option input_dropout, and all but resnetN dropout (after each hidden layer; in a wrn
// inside its blocks): mlp:64-256-10,dropout=0.5,input_dropout=0.2.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/samples.h"
#include "common/model/layer.h"

namespace distillery {

// The layers of `architecture` for images of `input` in `class_count` classes.
// INVALID_ARGUMENT for an unknown architecture (with the nearest), option, or sizes that do not
// fit.
absl::StatusOr<std::vector<Layer>> PlanArchitecture(const std::string& architecture,
                                                    const ImageShape& input, int64_t class_count);

// Checks what can be checked without the data: INVALID_ARGUMENT for an unknown name (with the
// nearest one), an unknown option or a value out of range.
absl::Status CheckArchitecture(const std::string& architecture);

// The architectures as a help text lists them: "mlp:IN-HIDDEN-...-OUT, lenet, ... or wrn-D-W".
std::string ArchitectureHelp();

}  // namespace distillery
