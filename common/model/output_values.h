// What the numbers of a classifier are, told by looking at a few rows of them.
#pragma once

#include <ATen/ATen.h>

#include <functional>

#include "absl/status/status.h"
#include "common/model/card.h"

namespace distillery {

struct OutputQuestion {
  // float32 [rows, classes] on the CPU: answers to unlike pictures; those that are not finite are left
  // out.
  at::Tensor rows;
  // How far a sum of a row may be from 1, of numbers of the model's precision.
  double tolerance = 1e-3;
  // Answers to pictures far outside of what a model expects, asked for only where `rows` might be
  // logits or not; undefined where there are none.
  std::function<at::Tensor()> overdriven;
  // A student is yet to be trained: only what is certain counts.
  bool untrained = false;
};

// INVALID_ARGUMENT, with what was seen and the way out, unless the rows can be what the card says:
// probabilities are >= 0 and sum to 1. Logits are anything but probabilities, votes, percentages and
// what sigmoids give. A card with `trust_output` is believed, but for negative probabilities.
absl::Status CheckOutputValues(const OutputQuestion& question, const ModelCard& card);

}  // namespace distillery
