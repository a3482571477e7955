// Asks a model for a few rows in several ways before anybody else does, to see whether it is a pure
// function of each row and whether its answers are what its card says.
#pragma once

#include <torch/script.h>

#include <functional>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "common/model/card.h"

namespace distillery {

struct ProbeSubject {
  // Gives for normalised inputs [rows, sizes...] what CallModel gives. May throw.
  std::function<at::Tensor(const std::vector<at::Tensor>&)> call;
  // The device to which the inputs are moved.
  at::Device device = at::Device(at::kCPU);
  // Largest relative difference that is allowed between the answers to a row alone and to the same
  // row among others: their sums may be computed in another order.
  double batch_tolerance = 1e-3;
  // How far the sum of a row of probabilities may be from 1.
  double sum_tolerance = 1e-3;
  // The module whose attributes must stay as they are; null: there is none to look at.
  const torch::jit::Module* module = nullptr;
  // See OutputQuestion.
  bool untrained = false;
};

// Makes four calls with 12 rows in all, always the same ones; eight more calls if the model draws
// random numbers, and one more if its logits might be the answers of sigmoids. INVALID_ARGUMENT
// says what is wrong and how to mend it: answers that differ from call to call or depend on the
// other rows of the batch; attributes that change; a size of batch that the model does not take; a
// shape other than [rows, positions..., classes]; values that are not what the card says. INTERNAL
// if no answer is finite, RESOURCE_EXHAUSTED if the device has no memory. Calls TurnOffProfiling.
absl::Status ProbeModel(const ProbeSubject& subject, const ModelCard& card);

// Four unlike rows for each input of the card, normalised: the first of those that ProbeModel asks
// for.
std::vector<at::Tensor> ProbeInputs(const ModelCard& card);

struct ProbeOptions {
  at::Device device = at::Device(at::kCPU);
  // The type that the module was cast to; empty: it is as its file holds it.
  std::optional<at::ScalarType> precision;
  bool untrained = false;
};

// The same for a module in eval mode on its device. Sets card->input_type to the type that forward
// takes, float32 before others, unless it is set already, the type is float32, or `precision` gives
// it.
absl::Status ProbeModule(torch::jit::Module& module, const ProbeOptions& options, ModelCard* card);

}  // namespace distillery
