// The best learning rate for each of two students, from one grid, on the validation part.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/run/run_spec.h"
#include "distillery/v1/coordinator_service.pb.h"

namespace distillery {

// What the demo compares: the same student on hard labels alone (alpha 0) and distilled.
struct StudentPair {
  RunSpec hard;
  RunSpec distilled;
};
// Both from the recipe's student: they share optimizer, epochs and augmentation.
StudentPair MakeStudentPair(const RunSpec& student);

// Errors of one student at one rate on the validation part.
struct GridPoint {
  std::string student;
  double learning_rate = 0;
  int64_t error_count = 0;
  int64_t sample_count = 0;
};

// Submits and watches runs until all have ended; see run_client.h.
using DoRuns = std::function<absl::StatusOr<std::vector<v1::Run>>(const std::vector<RunSpec>&)>;

// What ChooseRates does: each student of the pair at each rate.
std::vector<RunSpec> RateGrid(const std::vector<double>& rates, const StudentPair& pair);

// Trains both students on "fit" (train without its validation fifth) at each rate and sets each
// one's learning rate to the one with the fewest errors on "validation", the smaller of equals.
absl::StatusOr<std::vector<GridPoint>> ChooseRates(const DoRuns& do_runs,
                                                   const std::vector<double>& rates,
                                                   StudentPair* pair);

}  // namespace distillery
