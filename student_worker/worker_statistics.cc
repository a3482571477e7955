#include "student_worker/worker_statistics.h"

namespace distillery {

absl::string_view TaskOutcomeName(TaskOutcome outcome) {
  switch (outcome) {
    case TaskOutcome::kDone:
      return "done";
    case TaskOutcome::kDropped:
      return "dropped";
    case TaskOutcome::kReleased:
      return "released";
    case TaskOutcome::kFailed:
      return "failed";
  }
  return "unknown";
}

void WorkerStatistics::TaskBegins(const TaskId& task) {
  MutexLock lock(mutex_);
  now_.task = task;
  now_.waiting = false;
  task_began_ = clock_->SteadyNow();
}

void WorkerStatistics::TaskEnds(TaskOutcome outcome) {
  MutexLock lock(mutex_);
  const TaskKind kind = now_.task->kind;
  ++now_.tasks[{kind, outcome}];
  now_.task_time[kind] += clock_->SteadyNow() - task_began_;
  now_.task.reset();
  now_.waiting = false;
}

void WorkerStatistics::AddTrainedSamples(int64_t count) {
  MutexLock lock(mutex_);
  now_.trained_samples += count;
}

void WorkerStatistics::AddEvaluatedSamples(int64_t count) {
  MutexLock lock(mutex_);
  now_.evaluated_samples += count;
}

void WorkerStatistics::AddTraining(const TrainMetrics& metrics) {
  MutexLock lock(mutex_);
  now_.training_seconds += metrics.seconds;
  now_.teacher_wait_seconds += metrics.teacher_wait_seconds;
  now_.data_wait_seconds += metrics.data_wait_seconds;
  now_.teacher_failovers += metrics.teacher_failover_count;
}

void WorkerStatistics::AddUpload(int64_t bytes) {
  MutexLock lock(mutex_);
  ++now_.uploads;
  now_.uploaded_bytes += bytes;
}

void WorkerStatistics::AddDownload(int64_t bytes) {
  MutexLock lock(mutex_);
  now_.downloaded_bytes += bytes;
}

void WorkerStatistics::SetWaiting(bool waiting) {
  MutexLock lock(mutex_);
  now_.waiting = waiting;
}

void WorkerStatistics::SetConnected(bool connected) {
  MutexLock lock(mutex_);
  now_.connected = connected;
}

WorkerStatistics::Snapshot WorkerStatistics::snapshot() const {
  MutexLock lock(mutex_);
  return now_;
}

}  // namespace distillery
