// A built-in architecture as a list of layers. Needs no LibTorch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/samples.h"
#include "common/model/layer.h"

namespace distillery {

// The layers of `architecture` (see architecture.h) for images of `input` in `class_count` classes.
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
