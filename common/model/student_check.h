// Whether a module of somebody's own can be a student: said before a run begins, since training that
// quietly leaves out half of the network looks like training.
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
//   - parameters that share memory in another way than as tied weights;
//   - a dropout that is off in training or on in evaluation, and a BatchNorm that keeps its statistics
//     in training or leaves them in evaluation, because their flag is a constant of the code. A
//     BatchNorm that is meant to stand still may: its weight and bias are frozen (requires_grad =
//     False), or the file has its submodule in eval mode inside a model in training mode;
//   - a forward that in training returns something else than one tensor.
// The module is in training mode as BuildStudent leaves it.
absl::Status CheckTrainable(const torch::jit::Module& module);

// The same of what only shows when it runs: whether in training too it gives logits [rows, classes].
// Runs a copy on a few rows of the card's shape.
absl::Status CheckTrainingOutput(const torch::jit::Module& module, const ModelCard& card);

// Both of a student's TorchScript file, and what BuildStudent refuses, before a run is submitted.
// `data`: the card of the run's data, if they are here; else the file's own counts, and for a file
// without one nothing is run.
absl::Status CheckStudentFile(const std::string& path, const std::optional<ModelCard>& data);

}  // namespace distillery
