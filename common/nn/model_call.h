// Calls a model as its card says: a tensor for each of its inputs goes in, one of [rows,
// positions..., classes] comes out.
#pragma once

#include <torch/script.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/card.h"

namespace distillery {

// INVALID_ARGUMENT if the module has no forward that can be called with `inputs` tensors alone.
// Further arguments must have defaults or be optional; the optional ones get None.
absl::Status CheckForward(const torch::jit::Module& module, size_t inputs = 1);

// The output that counts among those that a model answered with. INVALID_ARGUMENT, with the list of
// them, if there are several and the card names none, or one that is not there.
absl::StatusOr<at::Tensor> SelectOutput(const c10::IValue& answer, const ModelCard& card);

// The model's answer to normalised inputs, as float32, on the device where these are. Floats go in
// as the card's input_type, whole numbers and bytes as they are. Throws what forward throws, and
// c10::Error for an answer that SelectOutput refuses. REQUIRES: CheckForward is OK.
at::Tensor CallModel(const torch::jit::Module& module, const ModelCard& card,
                     const std::vector<at::Tensor>& inputs);
inline at::Tensor CallModel(const torch::jit::Module& module, const ModelCard& card,
                            const at::Tensor& input) {
  return CallModel(module, card, std::vector<at::Tensor>{input});
}
// The floats of `inputs` in the card's input_type.
std::vector<at::Tensor> CastInputs(const std::vector<at::Tensor>& inputs, const ModelCard& card);

// Logits from what CallModel gives: the same numbers, or the logarithm of probabilities, of labels
// the difference of the logarithms for and against. A probability that is clearly negative, or a
// label's that is clearly above 1, becomes NaN.
at::Tensor LogitsOf(const at::Tensor& output, const ModelCard& card);

// Types of floating-point numbers by their names in cards and flags, such as "float32".
at::ScalarType ElementTypeOf(const std::string& name);
std::string NameOf(at::ScalarType type);

// The floating-point types of the module's parameters, then those of its buffers, then those of the
// constants of its code; each once.
std::vector<at::ScalarType> FloatTypesOf(const torch::jit::Module& module);

// Turns parameters and buffers that are floating-point numbers to `type`; indexes and masks stay
// what they are.
void CastFloats(torch::jit::Module& module, at::ScalarType type);

}  // namespace distillery
