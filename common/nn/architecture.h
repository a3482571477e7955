// The built-in architectures, of which common/model/architecture_plan.cc has the table, made in C++
// as TorchScript modules that Python and C++ load as they are.
#pragma once

#include <torch/script.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/samples.h"
#include "common/model/architecture_plan.h"

namespace distillery {

// A module in training mode with seeded parameters, each drawn by (seed, parameter name). Layers
// with a bias: weights and biases uniform in +-1/sqrt(fan in). Convolutions without: normal with
// variance 2 / fan out (He et al. 2015: "Delving deep into rectifiers"). BatchNorm: weight 1, bias
// 0. INVALID_ARGUMENT for an unknown architecture (with the nearest), option, or sizes that do not
// fit the input [channels, height, width] or the classes. Without a seed the parameters are left as
// they come, for a caller that sets them all.
absl::StatusOr<torch::jit::Module> BuildArchitecture(const std::string& architecture,
                                                     const ImageShape& input, int64_t class_count,
                                                     std::optional<int64_t> seed);

// The same of layers of one's own.
absl::StatusOr<torch::jit::Module> BuildLayers(const std::vector<Layer>& layers,
                                               std::optional<int64_t> seed);

// The attribute of an int8 model that holds the parameter count of the model it was made from: its
// own weights are constants of its code. See int8_weights.h.
inline constexpr char kInt8ParameterCount[] = "int8_parameter_count";

// Parameters with and without gradients, tied ones once, buffers not counted; of an int8 model
// those of the float one.
int64_t CountParameters(const torch::jit::Module& module);

// The number of those among them that training leaves alone (requires_grad = False).
int64_t CountFrozenParameters(const torch::jit::Module& module);

}  // namespace distillery
