// Deltas as they travel: the float32 parameters of a delta in fewer bytes, in a safetensors file of
// the same names. Buffers and other types stay as they are.
//
//   float32   4 bytes, exact
//   float16   2 bytes, an error below 2^-10 of the value (2^-24 below 2^-14); at most 65504
//   bfloat16  2 bytes, an error below 2^-7 of the value
//   int8      1 byte, and a float32 scale max|x|/127 for each block of 256 elements, in a tensor
//             NAME/scales; an error below one scale
//
// Rounded up or down at random, the nearer the likelier, so that the expected value is the value
// itself and the errors of K replicas average out (stochastic rounding: Gupta et al. 2015, "Deep
// learning with limited numerical precision", section 3). The randomness is named by the caller.
// Tied weights are rounded once, so that they stay equal.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/base/philox.h"
#include "common/weights/layout.h"
#include "common/weights/tensor_source.h"
#include "common/weights/ties.h"
#include "common/weights/weights.h"

namespace distillery {

enum class DeltaEncoding { kFloat32, kFloat16, kBFloat16, kInt8 };

// "float32", "float16", "bfloat16", "int8".
const std::vector<std::string>& DeltaEncodingNames();
// Nothing for an unknown name; empty is float32.
std::optional<DeltaEncoding> ParseDeltaEncoding(const std::string& name);

// The encoded file of `delta`. `buffers`: sorted names of the tensors that are no parameters.
// REQUIRES: all values are finite; tied tensors have equal deltas and layouts.
std::string EncodeDelta(const Weights& delta, const std::vector<std::string>& buffers,
                        DeltaEncoding encoding, RandomStream random, const Ties& ties = {});

// Gives the canonical safetensors file of a delta of layout `expected` to `sink`, piece by piece.
// FAILED_PRECONDITION if the file is not of that layout in that encoding; INVALID_ARGUMENT if a
// value is not finite; errors of `encoded` and of `sink`.
absl::Status DecodeDelta(const TensorSource& encoded, const WeightsLayout& expected,
                         const std::vector<std::string>& buffers, DeltaEncoding encoding,
                         const std::function<absl::Status(absl::string_view)>& sink);

}  // namespace distillery
