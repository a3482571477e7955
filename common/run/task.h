// Tasks and their figures, as the coordinator and the workers know them.
#pragma once

#include <cstdint>
#include <string>

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

// See TrainMetrics in coordinator_service.proto for units.
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

// INVALID_ARGUMENT, naming the field, for figures that no correct worker measures: numbers that are
// not finite, and impossible counts, whose sums might overflow.
absl::Status CheckTraining(const TrainMetrics& metrics);

}  // namespace distillery
