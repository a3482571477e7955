// The samples that a report shows: which ones, what they are, and what the models answer for them.
// The JSON is described in deploy/results.schema.json under `samples`.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/dataset.h"
#include "nlohmann/json.hpp"

namespace distillery {

struct SampleQuestion {
  const Dataset* dataset = nullptr;
  std::string data_dir;
  // Logits [samples, positions, answers] of the first samples; empty: this model cannot be asked.
  // REQUIRES: one of them is not, and they are of equal length if both are there.
  const std::vector<float>* teacher = nullptr;
  const std::vector<float>* student = nullptr;
  // The list of samples was cut: they are not picked, but the first ones.
  bool in_order = false;
};

// A list. Classes and labels: the samples of which the teacher (without one, the student) is least
// certain, one where the two differ, the one of which it is most certain. Values: those where the
// two differ most and least. Errors as ReadSamplesOf.
absl::StatusOr<nlohmann::ordered_json> PickSamples(const SampleQuestion& question);

}  // namespace distillery
