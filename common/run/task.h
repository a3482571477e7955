// Tasks and their figures, as the coordinator and the workers know them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/run/evaluation_metrics.h"

namespace distillery {

enum class TaskKind { kInitialise = 1, kTrain = 2, kEvaluate = 3 };

inline absl::string_view TaskKindName(TaskKind kind) {
  switch (kind) {
    case TaskKind::kInitialise:
      return "initialise";
    case TaskKind::kTrain:
      return "train";
    case TaskKind::kEvaluate:
      return "evaluate";
  }
  return "unknown";
}

// Names a task; see TaskLease in coordinator_service.proto.
struct TaskId {
  std::string run_id;
  TaskKind kind = TaskKind::kTrain;
  int64_t round = 0;
  int64_t replica = 0;

  std::string ToString() const {
    return absl::StrCat(run_id, " ", TaskKindName(kind), " round ", round, " replica ", replica);
  }
  friend bool operator==(const TaskId& a, const TaskId& b) {
    return a.run_id == b.run_id && a.kind == b.kind && a.round == b.round && a.replica == b.replica;
  }
};

// The right to do a task.
struct Lease {
  TaskId task;
  // Monotone; results are taken only under the newest.
  int64_t fencing_token = 0;
  std::string worker_id;
};

// See TrainMetrics in metrics.proto for units.
struct TrainMetrics {
  int64_t sample_count = 0;
  int64_t step_count = 0;
  double loss = 0;
  double soft_loss = 0;
  double hard_loss = 0;
  double seconds = 0;
  double teacher_wait_seconds = 0;
  int64_t teacher_failover_count = 0;
  double dkd_target_loss = 0;
  double dkd_other_loss = 0;
  double data_wait_seconds = 0;
};

// How a round's figure is made of its tasks': their sum, or their mean, weighted by sample_count.
enum class OfRound { kSum, kMean };

// Shows each figure in the order of the proto: its name there, the member, how a round's is made,
// and the tag of its curve in event files, or null. Figures with a curve are in reports too.
template <typename Visit>
void VisitTrainMetrics(const Visit& visit) {
  using Metrics = TrainMetrics;
  visit("sample_count", &Metrics::sample_count, OfRound::kSum, nullptr);
  visit("step_count", &Metrics::step_count, OfRound::kSum, nullptr);
  visit("loss", &Metrics::loss, OfRound::kMean, "loss/total");
  visit("soft_loss", &Metrics::soft_loss, OfRound::kMean, "loss/soft");
  visit("hard_loss", &Metrics::hard_loss, OfRound::kMean, "loss/hard");
  visit("seconds", &Metrics::seconds, OfRound::kSum, "time/training_seconds");
  visit("teacher_wait_seconds", &Metrics::teacher_wait_seconds, OfRound::kSum,
        "time/teacher_wait_seconds");
  visit("teacher_failover_count", &Metrics::teacher_failover_count, OfRound::kSum, nullptr);
  visit("dkd_target_loss", &Metrics::dkd_target_loss, OfRound::kMean, nullptr);
  visit("dkd_other_loss", &Metrics::dkd_other_loss, OfRound::kMean, nullptr);
  visit("data_wait_seconds", &Metrics::data_wait_seconds, OfRound::kSum, "time/data_wait_seconds");
}

// A round's figures of those of its tasks, in their order.
TrainMetrics RoundMetrics(const std::vector<const TrainMetrics*>& tasks);

// INVALID_ARGUMENT, naming the field, for figures that no correct worker measures: numbers that are
// not finite, and impossible counts, whose sums might overflow.
absl::Status CheckTraining(const TrainMetrics& metrics);

}  // namespace distillery
