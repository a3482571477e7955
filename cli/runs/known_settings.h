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

// Whether KnownSettingsFor has settings for it.
bool HasKnownSettings(const std::string& dataset);

// A teacher on hard labels for any other data set: the caller sets its architecture. AdamW, since
// one rate of it serves unlike networks.
RunSpec TeacherForAnyData(const std::string& dataset, AnswerKind answers);

}  // namespace distillery
