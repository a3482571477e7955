// A student of a built-in architecture as an ONNX model (https://onnx.ai, opset 13).
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/data/sample_spec.h"
#include "common/weights/weights.h"

namespace distillery {

// Inputs [N, sizes ...] by the names of the sample's, whole numbers as int64, others as float32,
// normalised as for the TorchScript file; the only input is called "input" if it is a picture.
// Output "logits" [N, positions ..., answers]. `card`, JSON, is the metadata entry
// "distillery.json". INVALID_ARGUMENT if the architecture is not built in or does not fit;
// FAILED_PRECONDITION if the weights are of another one.
absl::StatusOr<std::string> SerializeOnnx(const std::string& architecture, const SampleSpec& spec,
                                          int64_t answers, const std::string& card,
                                          const Weights& weights);

}  // namespace distillery
