// Trains one replica for one round: a pure function of (RunSpec, data, W_r, round, replica) and the
// teacher.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/dataset.h"
#include "common/model/card.h"
#include "common/run/run_spec.h"
#include "common/run/task.h"
#include "common/weights/weights.h"
#include "student_worker/training/train_job.h"

namespace distillery {

struct TrainResult {
  // In float32, and as the file that RunTraining.delta_encoding asks for.
  Weights delta;
  std::string encoded_delta;
  std::string teacher_digest;
  TrainMetrics metrics;
};

// Local training on the distillation loss. CANCELLED when *cancel becomes true; INVALID_ARGUMENT
// for a spec that does not fit the data, or a loss or weights that are not finite, naming the
// batch; errors of the teacher.
absl::StatusOr<TrainResult> TrainReplica(const TrainJob& job);

struct InitialWeights {
  Weights weights;
  std::vector<std::string> buffer_names;
  ModelCard card;
};

// W_0 and the card of the spec's student for the data: pure in student, data and seed. A student
// that is a file starts from the weights in it; `trained`, if not null, takes their place
// (FAILED_PRECONDITION if it is of another student).
absl::StatusOr<InitialWeights> MakeInitialWeights(const RunSpec& spec, const Dataset& dataset,
                                                  const std::string& student_file = "",
                                                  const Weights* trained = nullptr);

}  // namespace distillery
