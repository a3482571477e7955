// Good settings for the data sets that Distillery knows.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/run/run_spec.h"

namespace distillery {

struct KnownSettings {
  // alpha 0, one replica.
  RunSpec teacher;
  // alpha and temperature for distillation; training.learning_rate is one of `rates`.
  RunSpec student;
  // Learning rates worth trying for the student.
  std::vector<double> rates;
};

// INVALID_ARGUMENT for a data set without settings.
absl::StatusOr<KnownSettings> KnownSettingsFor(const std::string& dataset);

}  // namespace distillery
