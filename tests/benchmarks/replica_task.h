// One replica's training task as a worker does it, for benchmarks: TrainReplica on an epoch of a
// data set.
#pragma once

#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "common/data/dataset.h"
#include "common/run/run_spec.h"
#include "student_worker/teachers/soft_target_source.h"
#include "student_worker/training/trainer.h"

namespace distillery {

// SGD with momentum on hard labels, one epoch over `dataset` in batches of 128, one thread.
RunSpec HardLabelSpec(const std::string& architecture, const Dataset& dataset);

class ReplicaTask {
 public:
  // Makes the first weights. Errors of MakeInitialWeights.
  static absl::StatusOr<ReplicaTask> Create(const RunSpec& spec,
                                            std::shared_ptr<const Dataset> dataset);

  struct Trained {
    // From the call to the result.
    double seconds = 0;
    TrainMetrics metrics;
  };
  // Trains from the first weights on; `teacher` may be null where the spec needs none. Errors of
  // TrainReplica.
  absl::StatusOr<Trained> Train(SoftTargetSource* teacher = nullptr) const;

  const ModelCard& card() const { return initial_.card; }

 private:
  ReplicaTask(const RunSpec& spec, std::shared_ptr<const Dataset> dataset, InitialWeights initial)
      : spec_(spec), dataset_(std::move(dataset)), initial_(std::move(initial)) {}

  RunSpec spec_;
  std::shared_ptr<const Dataset> dataset_;
  InitialWeights initial_;
};

}  // namespace distillery
