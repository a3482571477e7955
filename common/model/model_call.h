// How a model is asked as its card says: one tensor of pixels in, one of [rows, classes] out.
#pragma once

#include <torch/script.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/card.h"

namespace distillery {

// INVALID_ARGUMENT if the module has no forward that can be asked with one tensor alone. Further
// arguments may have defaults, or be optional: they get None.
absl::Status CheckForward(const torch::jit::Module& module);

// The output that counts of what a model answered. INVALID_ARGUMENT, with what is there, if the card
// names none of several, or one that is not there.
absl::StatusOr<at::Tensor> SelectOutput(const c10::IValue& answer, const ModelCard& card);

// What a model answers for pixels that are normalised, as float32, where they are. Throws what forward
// throws, and c10::Error for an answer that SelectOutput refuses. REQUIRES: CheckForward is OK.
at::Tensor CallModel(const torch::jit::Module& module, const ModelCard& card,
                     const at::Tensor& inputs);

// Logits of what CallModel gives: itself, or the logarithm of probabilities, in which what is clearly
// negative becomes NaN.
at::Tensor LogitsOf(const at::Tensor& output, const ModelCard& card);

// Types of floating-point numbers by their names in cards and flags, "float32".
at::ScalarType ElementTypeOf(const std::string& name);
std::string NameOf(at::ScalarType type);

// Those that the module's parameters have, then buffers, then constants of its code, each once.
std::vector<at::ScalarType> FloatTypesOf(const torch::jit::Module& module);

// Turns parameters and buffers that are floating-point numbers to `type`; indexes and masks stay what
// they are.
void CastFloats(torch::jit::Module& module, at::ScalarType type);

}  // namespace distillery
