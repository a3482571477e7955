// One run in the coordinator's memory: its record row, its spec and its open tasks.
//
// Threads: one at a time; Coordinator guards it.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/run/run_spec.h"
#include "coordinator/record.h"

namespace distillery {

// A task of the present round, or an evaluation or initialisation that is not done.
struct TaskEntry {
  TaskRow row;
  // Token of its active lease; 0: free.
  int64_t token = 0;
};

struct RoundView {
  RoundRow row;
  std::optional<EvaluationMetrics> evaluation;
};

// What clients are shown of a run; see Run in coordinator_service.proto.
struct RunView {
  RunRow row;
  RunSpec spec;
  std::optional<RoundView> latest_round;
  std::optional<EvaluationMetrics> latest_evaluation;
  int64_t latest_evaluation_round = 0;
  int64_t active_leases = 0;
  int64_t live_workers = 0;
  double samples_per_second = 0;
};

class RunEntry {
 public:
  using TaskKey = std::tuple<TaskKind, int64_t, int64_t>;
  static TaskKey KeyOf(const TaskId& task) { return {task.kind, task.round, task.replica}; }

  RunEntry(RunRow row, RunSpec spec) : row(std::move(row)), spec(std::move(spec)) {}

  // Makes the tasks that the run's state asks for and that are not there yet: initialise without
  // W_0, else the training tasks of the present round and the evaluations that are missing.
  void MakeTasks();
  // Null if there is no such task now.
  TaskEntry* Find(const TaskId& task);
  // The free task to do next (evaluations first, then replicas in order), or null.
  TaskEntry* NextFree();
  // All replicas of the present round are in.
  bool ReadyToAverage() const;
  // Rounds and evaluations are complete.
  bool Complete() const;
  // Rounds whose weights an evaluation still needs.
  std::vector<int64_t> RoundsToEvaluate() const;

  void NoteSamples(int64_t samples, absl::Duration now);
  double SamplesPerSecond(absl::Duration now) const;
  // Without live_workers and active_leases.
  RunView View(absl::Duration now) const;
  RoundView ViewRound(const RoundRow& round) const;

  RunRow row;
  RunSpec spec;
  // By kind, round, replica; evaluations sort last.
  std::map<TaskKey, TaskEntry> tasks;
  // Completed rounds, oldest first.
  std::vector<RoundRow> rounds;
  // By the number of rounds completed.
  std::map<int64_t, EvaluationMetrics> evaluations;
  // What a worker of this run last said that it waits for.
  std::string waiting_for;
  bool averaging = false;

 private:
  static constexpr absl::Duration kRateWindow = absl::Seconds(10);
  // When samples came in, within the window.
  std::deque<std::pair<absl::Duration, int64_t>> samples_;
  // Evaluations up to this round were made tasks, or were there.
  int64_t planned_rounds_ = 0;
};

}  // namespace distillery
