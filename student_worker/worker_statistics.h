// What a worker has done since it started, and what it does now. Code that works counts here and
// knows nothing of who shows the numbers; worker_metrics_service.h gives them to Prometheus.
//
// Threads: safe for all; nothing blocks.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/run/task.h"

namespace distillery {

// What became of a task here.
enum class TaskOutcome {
  // Its result was taken.
  kDone,
  // Its lease ended first, or another worker's result counts.
  kDropped,
  // Given back since this worker was stopped.
  kReleased,
  kFailed,
};

inline constexpr std::array<TaskOutcome, 4> kTaskOutcomes = {
    TaskOutcome::kDone, TaskOutcome::kDropped, TaskOutcome::kReleased, TaskOutcome::kFailed};
inline constexpr std::array<TaskKind, 3> kTaskKinds = {TaskKind::kInitialise, TaskKind::kTrain,
                                                       TaskKind::kEvaluate};
// "done", "dropped", "released" or "failed".
absl::string_view TaskOutcomeName(TaskOutcome outcome);

class WorkerStatistics {
 public:
  struct Snapshot {
    std::map<std::pair<TaskKind, TaskOutcome>, int64_t> tasks;
    // The time of ended tasks.
    std::map<TaskKind, absl::Duration> task_time;
    // Samples of lost tasks count as well.
    int64_t trained_samples = 0;
    int64_t evaluated_samples = 0;
    // Seconds, of training tasks that were done to the end.
    double training_seconds = 0;
    double teacher_wait_seconds = 0;
    double data_wait_seconds = 0;
    int64_t teacher_failovers = 0;
    int64_t uploads = 0;
    int64_t uploaded_bytes = 0;
    int64_t downloaded_bytes = 0;
    // The one being done.
    std::optional<TaskId> task;
    // It waits for a teacher or for data.
    bool waiting = false;
    // The coordinator answered last time.
    bool connected = false;
  };

  explicit WorkerStatistics(Clock* clock) : clock_(clock) {}

  // One task at a time.
  void TaskBegins(const TaskId& task);
  // REQUIRES: one has begun.
  void TaskEnds(TaskOutcome outcome);
  void AddTrainedSamples(int64_t count);
  void AddEvaluatedSamples(int64_t count);
  // Adds a whole training task; its samples are counted by AddTrainedSamples.
  void AddTraining(const TrainMetrics& metrics);
  void AddUpload(int64_t bytes);
  void AddDownload(int64_t bytes);
  void SetWaiting(bool waiting);
  void SetConnected(bool connected);

  Snapshot snapshot() const;

 private:
  Clock* const clock_;
  mutable Mutex mutex_;
  Snapshot now_ ABSL_GUARDED_BY(mutex_);
  absl::Duration task_began_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace distillery
