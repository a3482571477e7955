// Errors by class, for people.
#pragma once

#include <string>
#include <vector>

#include "common/run/evaluation_metrics.h"

namespace distillery {

// A table with a line for each class that has samples, most errors first: samples, errors, and the
// class most often chosen in its place.
std::string FormatClassErrors(const EvaluationMetrics& metrics,
                              const std::vector<std::string>& class_names);

}  // namespace distillery
