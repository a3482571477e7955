// Tells by a few rows of a classifier's answers whether they are logits or probabilities.
#pragma once

#include <ATen/ATen.h>

#include <functional>

#include "absl/status/status.h"
#include "common/model/card.h"

namespace distillery {

struct OutputQuestion {
  // float32 [rows, classes] on the CPU: answers to unlike samples. Rows that are not finite are
  // not looked at.
  at::Tensor rows;
  // How far the sum of a row of probabilities may be from 1 at the model's precision.
  double tolerance = 1e-3;
  // Gives the answers to pictures far outside of what a model expects; an undefined tensor if there
  // are none, as for whole numbers. Called only if `rows` leave open whether they are logits. If
  // that stays open, few classes are a warning in the log, and many an error.
  std::function<at::Tensor()> overdriven;
  // The model is a student before its training: only what is certain is an error.
  bool untrained = false;
};

// INVALID_ARGUMENT, with what was seen and the way out, unless the rows can be what the card says:
// probabilities are >= 0 and sum to 1; logits are anything but probabilities, votes, percentages
// and what sigmoids give. A card with `trust_output` is believed, except if probabilities are
// negative. Labels have a probability each, so that theirs are 0 to 1 and sum to anything; values
// are any numbers, and no probabilities.
absl::Status CheckOutputValues(const OutputQuestion& question, const ModelCard& card);

}  // namespace distillery
