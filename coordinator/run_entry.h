// One run in the coordinator's memory: its record row, its spec and its open tasks.
//
// Threads: one at a time; Ledger guards it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/run/run_spec.h"
#include "common/run/sample_plan.h"
#include "coordinator/guard.h"
#include "coordinator/run_pace.h"
#include "coordinator/state/record.h"

namespace distillery {

// A task of the present round, or an evaluation or initialisation that is not done.
struct TaskEntry {
  TaskRow row;
  // The tokens of its active leases: none if it is free, two if a backup races the first.
  std::vector<int64_t> tokens;

  bool free() const { return !row.done && tokens.empty(); }
  bool FailedOn(const std::string& worker_id) const;
  void NoteFailure(const std::string& worker_id);
  // Different workers on which it failed.
  int64_t failed_worker_count() const;
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
  // Rounds completed at the guard's best evaluation; 0 without one.
  int64_t best_round = 0;
};

// The one in the middle, or the mean of the two there; 0 of nothing.
double MedianOf(std::vector<double> values);

class RunEntry {
 public:
  using TaskKey = std::tuple<TaskKind, int64_t, int64_t>;
  static TaskKey KeyOf(const TaskId& task) { return {task.kind, task.round, task.replica}; }

  RunEntry(RunRow row, RunSpec spec) : row(std::move(row)), spec(std::move(spec)) {}

  // Makes the tasks that the run's state asks for and that are not there yet: initialise without
  // W_0, else the training tasks of the present round and the evaluations that are missing. A
  // damaged run gets no tasks.
  void MakeTasks();
  // Null if there is no such task now.
  TaskEntry* Find(const TaskId& task);
  // The free task to do next (evaluations first, then replicas in order) that `fits`, or null.
  TaskEntry* NextFree(const std::function<bool(const TaskEntry&)>& fits);
  // All replicas of the present round are in, or a quorum's time is over.
  bool ReadyToAverage(absl::Duration now) const;
  // When a quorum that is complete need wait for others no longer; infinite if there is none.
  absl::Duration QuorumDeadline() const;
  // The deltas to average now: those of the present round first, in replica order, then late ones.
  std::vector<const TaskEntry*> DeltasToAverage() const;
  // Takes the averaged tasks out, and of the others of past rounds those that are too late or that
  // nobody works at; returns the tokens of their leases.
  std::vector<int64_t> CloseRound();
  // A task of a past round whose delta will count all the same.
  void AddLate(TaskRow row);
  // Rounds and evaluations are complete.
  bool Complete() const;
  // Those of DeltasToAverage that are in `averaged`.
  std::vector<TaskRow> AveragedTasks() const;
  // Drops the evaluations that are not done of rounds for which `gone` is true.
  void ForgetEvaluations(const std::function<bool(int64_t round)>& gone);
  // Rounds whose weights an evaluation still needs.
  std::vector<int64_t> RoundsToEvaluate() const;
  // Rounds whose weights must be kept however old they are.
  std::set<int64_t> RoundsToKeep() const;
  // The round whose file holds W_round: another one where the guard rolled back.
  int64_t FileRound(int64_t round) const;
  // SHA-256 of W_round. REQUIRES: it is there.
  const std::string& WeightsSha256(int64_t round) const;
  // The present round waits for the evaluation of the weights that it starts from.
  bool AwaitsGuard() const;
  // What the guard says to the evaluation of the present weights; kGoOn without one.
  GuardVerdict Judge() const;

  // For how long a training task may be under way before a second worker is given it; infinite: for
  // ever.
  absl::Duration BackupAfter() const;

  // Details are kept of the newest evaluation alone: they would fill the memory in a long run.
  void NoteEvaluation(int64_t round, EvaluationMetrics metrics);
  // Why its weights are of no use any more: an evaluation gave no number, and no guard decides what
  // to do then. Empty: they are of use.
  std::string Divergence() const;
  // Whether all rounds from the first to the newest are there.
  bool RoundsWhole() const;
  // The least memory that training takes: weights, gradients and the optimizer's moments; in bytes,
  // 0 if it is not known yet.
  int64_t TrainingBytes() const;
  // INVALID_ARGUMENT naming the first replica whose norm is more than averaging.max_norm_ratio
  // times the median of the last rounds'.
  absl::Status CheckNorms(const std::vector<double>& delta_norms) const;
  // Sorted names of the student's tensors that are no parameters.
  std::vector<std::string> BufferNames() const;
  // Without live_workers and active_leases. `with_details`: with those of the latest evaluation.
  RunView View(absl::Duration now, bool with_details) const;
  RoundView ViewRound(const RoundRow& round) const;
  // From when on its listeners may be told of changes again.
  absl::Duration TellAfter() const;

  RunRow row;
  RunSpec spec;
  RunPace pace;
  // By kind, round, replica; evaluations sort last.
  std::map<TaskKey, TaskEntry> tasks;
  // Completed rounds, oldest first.
  std::vector<RoundRow> rounds;
  // By the number of rounds completed.
  std::map<int64_t, EvaluationMetrics> evaluations;
  // What a worker of this run last said that it waits for.
  std::string waiting_for;
  bool averaging = false;
  // The newest weights are not as the record says; nothing is leased until they are rebuilt.
  bool damaged = false;
  // What was averaged last, in order: the deltas are kept to rebuild the newest weights.
  std::vector<TaskRow> last_round;
  // Somebody resumed the run in this round: its deltas are taken however large they are.
  int64_t accepted_round = -1;
  // Keys of the tasks that are averaged while `averaging`.
  std::set<TaskKey> averaged;
  // Advance the run at this time, or it has been; infinite: nothing is to be done.
  absl::Duration advance_after = absl::InfiniteDuration();
  // When its listeners were told of a change last.
  absl::Duration told = -absl::InfiniteDuration();
  // When the present round began here.
  absl::Duration round_began;
  // A run that it depends on and that has not succeeded yet; empty: it may begin.
  std::string blocked_by;
  // The SHA-256 of row.model_card.
  std::string card_sha256;
  // What cannot be read of its rows; empty: nothing. A damaged run is shown as paused, unless it
  // has ended.
  std::string damage;
  // Null for a run of an older version, which did not record the sizes of its shards.
  std::shared_ptr<const SamplePlan> samples;
  // Size of its weights file; 0: not known yet.
  int64_t weights_bytes = 0;

 private:
  // For how many rounds a late delta counts. Weights of so many rounds back are kept.
  static constexpr int64_t kMostRoundsLate = 2;
  // Evaluations up to this round were made tasks, or were there.
  int64_t planned_rounds_ = 0;
  // The first round for which Divergence is not empty; 0: none.
  int64_t diverged_round_ = 0;
};

}  // namespace distillery
