// The built-in architectures, of which common/model/architecture_plan.cc has the table, made in C++
// as TorchScript modules that Python and C++ load as they are.
#pragma once

#include <torch/script.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/sample_spec.h"
#include "common/model/architecture_plan.h"

namespace distillery {

// A module in training mode with seeded parameters, each drawn by (seed, parameter name) as
// layer_tensors.h says. forward takes the inputs of such samples as architecture_plan.h has them,
// by position. INVALID_ARGUMENT for an unknown architecture (with the nearest), option, or sizes
// that do not fit the samples or the numbers of an answer. Without a seed the parameters are left
// as they come, for a caller that sets them all.
absl::StatusOr<torch::jit::Module> BuildArchitecture(const std::string& architecture,
                                                     const SampleSpec& spec, int64_t answers,
                                                     std::optional<int64_t> seed);
// The same for pictures in classes.
absl::StatusOr<torch::jit::Module> BuildArchitecture(const std::string& architecture,
                                                     const ImageShape& input, int64_t class_count,
                                                     std::optional<int64_t> seed);

// The same of layers of one's own, which call their inputs so.
absl::StatusOr<torch::jit::Module> BuildLayers(const std::vector<Layer>& layers,
                                               std::optional<int64_t> seed,
                                               const std::vector<std::string>& inputs = {"x"});

// The attribute of an int8 model that holds the parameter count of the model it was made from: its
// own weights are constants of its code. See int8_weights.h.
inline constexpr char kInt8ParameterCount[] = "int8_parameter_count";

// Parameters with and without gradients, tied ones once, buffers not counted; of an int8 model
// those of the float one.
int64_t CountParameters(const torch::jit::Module& module);

// The number of those among them that training leaves alone (requires_grad = False).
int64_t CountFrozenParameters(const torch::jit::Module& module);

}  // namespace distillery
