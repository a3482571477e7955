// Reads in the code of a module's forward, without running it, what it does in training mode and in
// evaluation mode: whether each dropout and each BatchNorm follows the mode or was given a
// constant. torch.jit.trace writes the mode of the moment into the code; train() and eval() then
// change nothing.
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
  // The flag; nothing if the code decides while it runs.
  std::optional<bool> training;
  // The rate of a dropout; nothing if the code decides while it runs.
  std::optional<double> rate;
  // What a kNorm's call takes as weight and bias, if these tensors are attributes;
  // otherwise undefined ones.
  at::Tensor weight;
  at::Tensor bias;
  // Whether a kNorm was given running statistics.
  bool has_statistics = false;
};

struct ForwardReading {
  // In the order of the code; a layer that is called twice is listed twice.
  std::vector<FlaggedLayer> layers;
  // The type that forward returns, as far as the code says; if the mode chooses among several
  // returns, that of the chosen one.
  c10::TypePtr output;
};

// Follows the code as it would run with every submodule in training (or evaluation) mode: through
// the branch that the mode or another constant chooses, and through both branches if the code
// decides while it runs. REQUIRES: the module has a forward.
ForwardReading ReadForward(const torch::jit::Module& module, bool training);

}  // namespace distillery
