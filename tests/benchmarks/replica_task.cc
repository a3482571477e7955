#include "tests/benchmarks/replica_task.h"

#include <atomic>
#include <utility>

#include "absl/time/clock.h"
#include "common/base/status_macros.h"

namespace distillery {

RunSpec HardLabelSpec(const std::string& architecture, const Dataset& dataset) {
  RunSpec spec;
  spec.student.architecture = architecture;
  spec.dataset.name = dataset.reference().name;
  spec.dataset.shard_size = dataset.reference().shard_size;
  spec.loss.alpha = 0;
  spec.training.local_epochs = 1;
  spec.training.batch_size = 128;
  spec.training.learning_rate = 0.01;
  spec.training.momentum = 0.9;
  return spec;
}

absl::StatusOr<ReplicaTask> ReplicaTask::Create(const RunSpec& spec,
                                                std::shared_ptr<const Dataset> dataset) {
  DISTILLERY_ASSIGN_OR_RETURN(InitialWeights initial, MakeInitialWeights(spec, *dataset));
  return ReplicaTask(spec, std::move(dataset), std::move(initial));
}

absl::StatusOr<ReplicaTask::Trained> ReplicaTask::Train(SoftTargetSource* teacher) const {
  const absl::Time start = absl::Now();
  const std::atomic<bool> cancel{false};
  TrainJob job;
  job.spec = &spec_;
  job.weights = &initial_.weights;
  job.card = &initial_.card;
  job.dataset = dataset_.get();
  job.teacher = teacher;
  job.cancel = &cancel;
  DISTILLERY_ASSIGN_OR_RETURN(const TrainResult result, TrainReplica(job));
  return Trained{absl::ToDoubleSeconds(absl::Now() - start), result.metrics};
}

}  // namespace distillery
