// Trains one replica for one round: a pure function of (RunSpec, data, W_r, round, replica) and the
// teacher.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/dataset.h"
#include "common/model/card.h"
#include "common/run/run_spec.h"
#include "common/run/task.h"
#include "common/weights/weights.h"
#include "student_worker/soft_target_source.h"

namespace distillery {

struct TrainJob {
  const RunSpec* spec = nullptr;
  int64_t round = 0;
  int64_t replica = 0;
  // W_r.
  const Weights* weights = nullptr;
  const ModelCard* card = nullptr;
  const Dataset* dataset = nullptr;
  // The student's TorchScript file, if it is no built-in architecture.
  std::string student_file;
  // Null if the spec needs no teacher.
  SoftTargetSource* teacher = nullptr;
  // Empty: any.
  std::string teacher_digest;
  const std::atomic<bool>* cancel = nullptr;
  // Told the samples seen so far after each step.
  std::function<void(int64_t)> progress;
};

struct TrainResult {
  Weights delta;
  std::string teacher_digest;
  TrainMetrics metrics;
};

// Local SGD on the distillation loss. CANCELLED when *cancel becomes true; INVALID_ARGUMENT for a spec
// that does not fit the data, or a loss that is not finite, naming the step; errors of the teacher.
absl::StatusOr<TrainResult> TrainReplica(const TrainJob& job);

struct InitialWeights {
  Weights weights;
  std::vector<std::string> buffer_names;
  ModelCard card;
};

// W_0 and the card of the spec's student for the data: pure in student, data and seed. A student that
// is a file starts from the weights in it.
absl::StatusOr<InitialWeights> MakeInitialWeights(const RunSpec& spec, const Dataset& dataset,
                                                  const std::string& student_file = "");

}  // namespace distillery
