// A student of a built-in architecture as an ONNX model (https://onnx.ai, opset 13).
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/model/card.h"
#include "common/weights/weights.h"

namespace distillery {

// Input "input" [N, channels, height, width], normalised as for the TorchScript file; output
// "logits" [N, classes]. The model card is the metadata entry "distillery.json". INVALID_ARGUMENT
// if the architecture is not built in; FAILED_PRECONDITION if the weights are of another one.
absl::StatusOr<std::string> SerializeOnnx(const std::string& architecture, const ModelCard& card,
                                          const Weights& weights);

}  // namespace distillery
