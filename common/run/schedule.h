// Learning rate over a run, as a function of progress alone, so that any task can compute it.
#pragma once

#include <string>
#include <vector>

namespace distillery {

// "constant", "cosine", "one_cycle".
const std::vector<std::string>& KnownSchedules();

// The rate at `progress`, 0 (start of the run) to 1 (its end). cosine: peak * (1 + cos(pi p)) / 2.
// one_cycle (Smith 2018): cosine from peak / 25 to peak over the first 30 %, then cosine to 0.
// REQUIRES: `schedule` is known.
double LearningRateAt(const std::string& schedule, double peak, double progress);

}  // namespace distillery
