// Weights as workers get them to train from, in half the bytes: float32 parameters rounded to the
// nearest float16 (common/base/half.h) in a safetensors file of the same names. Buffers and other
// types stay as they are. Only what travels is rounded: the coordinator moves its float32 weights
// by the deltas of replicas that all began at the same rounded ones.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/weights/tensor_source.h"
#include "common/weights/weights.h"

namespace distillery {

// "float32", "float16".
const std::vector<std::string>& BroadcastEncodingNames();

// Gives the encoded file of the canonical safetensors file `weights` to `sink`, piece by piece.
// `buffers`: sorted names of the tensors that are no parameters. Errors of `weights` and of `sink`.
absl::Status EncodeFloat16(const TensorSource& weights, const std::vector<std::string>& buffers,
                           const std::function<absl::Status(absl::string_view)>& sink);

// The float32 weights of an encoded file. INVALID_ARGUMENT if it is malformed.
absl::StatusOr<Weights> DecodeFloat16(absl::string_view encoded,
                                      const std::vector<std::string>& buffers);

}  // namespace distillery
