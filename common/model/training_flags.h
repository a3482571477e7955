// What the code of a module's forward does in training mode and in evaluation mode, without running
// it: whether each dropout and each BatchNorm follows the mode, or was given a constant (torch.jit.trace
// writes the mode of the moment into the code; train() and eval() then change nothing).
#pragma once

#include <torch/script.h>

#include <optional>
#include <string>
#include <vector>

namespace distillery {

// A call of an operation that has a flag for training.
struct FlaggedLayer {
  enum class Kind {
    // Draws at random where the flag is set.
    kDropout,
    // Uses the batch's own statistics where the flag is set, and the running ones otherwise.
    kNorm,
  };
  Kind kind = Kind::kDropout;
  // "dropout", "batch_norm", "lstm" ...
  std::string operation;
  // The submodule whose code calls it, by its dotted name; "" for the module itself.
  std::string module;
  // Nothing where the code decides while it runs.
  std::optional<bool> training;
  // Of a dropout; nothing where the code decides while it runs.
  std::optional<double> rate;
  // Of a kNorm: the tensors that the call takes as weight and bias, as far as they are attributes;
  // undefined ones otherwise.
  at::Tensor weight;
  at::Tensor bias;
  // Of a kNorm: whether it was given running statistics.
  bool has_statistics = false;
};

struct ForwardReading {
  // In the order of the code; a layer that is called twice is there twice.
  std::vector<FlaggedLayer> layers;
  // What forward returns, as far as the code says: where the mode chooses among returns, the chosen
  // one's type.
  c10::TypePtr output;
};

// Follows the code as it goes when every submodule is in training (or evaluation) mode, through the
// branches that the mode and other constants choose, and both where the code decides while it runs.
// REQUIRES: the module has a forward.
ForwardReading ReadForward(const torch::jit::Module& module, bool training);

}  // namespace distillery
