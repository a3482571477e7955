// Asks a model for a few rows in several ways before anybody else does: is it a pure function of each
// row, and are its answers what its card says?
#pragma once

#include <torch/script.h>

#include <functional>
#include <optional>

#include "absl/status/status.h"
#include "common/model/card.h"

namespace distillery {

struct ProbeSubject {
  // Normalised pixels [rows, channels, height, width] to what CallModel gives. May throw.
  std::function<at::Tensor(const at::Tensor&)> call;
  // Where pixels go.
  at::Device device = at::Device(at::kCPU);
  // Largest relative difference between a row alone and with others beside it, which are computed in
  // another order.
  double batch_tolerance = 1e-3;
  // How far a row of probabilities may be from the sum 1.
  double sum_tolerance = 1e-3;
  // Whose attributes must stay as they are; null: unknown.
  const torch::jit::Module* module = nullptr;
  // See OutputQuestion.
  bool untrained = false;
};

// Four calls with 12 rows in all, always the same. INVALID_ARGUMENT says what is wrong and how it is
// mended: answers that differ from call to call, or with the rows beside, or change the module; a size
// of batch that it does not take; a shape other than [rows, classes]; values that are not what the card
// says. INTERNAL for a model without a finite answer, RESOURCE_EXHAUSTED for a device without memory.
// Calls TurnOffProfiling.
absl::Status ProbeModel(const ProbeSubject& subject, const ModelCard& card);

struct ProbeOptions {
  at::Device device = at::Device(at::kCPU);
  // The type that the module was cast to; empty: as its file holds it.
  std::optional<at::ScalarType> precision;
  bool untrained = false;
};

// The same of a module in eval mode on its device. Sets card->input_type to what forward takes, unless
// it is there, float32, or given by `precision`.
absl::Status ProbeModule(torch::jit::Module& module, const ProbeOptions& options, ModelCard* card);

}  // namespace distillery
