// Checks whether a user's own module can be a student. Training that silently leaves out half of
// the network looks like any other, so this is found out before a run begins.
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "common/model/card.h"

// Keeps LibTorch's headers out of here.
namespace torch::jit {
struct Module;
}

namespace distillery {

// INVALID_ARGUMENT, naming the parameter or layer and a way out, for
//   - a module without a parameter that has requires_grad, or with such a one that is not float32;
//   - parameters that share memory otherwise than as tied weights;
//   - a dropout that is off in training or on in evaluation, and a BatchNorm that uses its running
//     statistics in training or the batch's in evaluation, because their flag is a constant of the
//     code. A BatchNorm that is meant to stand still is allowed: its weight and bias are frozen
//     (requires_grad = False), or the file has its submodule in eval mode inside a model in
//     training mode;
//   - a forward that returns something else than one tensor in training.
// REQUIRES: the module is in training mode, as BuildStudent leaves it.
absl::Status CheckTrainable(const torch::jit::Module& module);

// Checks what shows only when the module runs: that it gives logits [rows, positions...,
// classes] in training too. Runs a copy of it on a few rows as the card describes them.
absl::Status CheckTrainingOutput(const torch::jit::Module& module, const ModelCard& card);

// Both checks for a student's TorchScript file, and errors of BuildStudent, before a run is
// submitted. `data`: the card of the run's data, if these are on this machine; else the file's own
// card counts, and a file without one is not run.
absl::Status CheckStudentFile(const std::string& path, const std::optional<ModelCard>& data);

}  // namespace distillery
