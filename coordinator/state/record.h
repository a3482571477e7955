// The coordinator's durable record: runs, rounds, tasks, leases, workers and evaluations in SQLite
// (state/record.sqlite3), readable with `sqlite3` while the coordinator runs.
//
// Threads: one at a time; Ledger guards it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/run/task.h"
#include "coordinator/state/checked_table.h"
#include "coordinator/state/lease_outcome.h"

namespace distillery {

enum class RunState {
  kPending = 1,
  kRunning = 2,
  kSucceeded = 3,
  kFailed = 4,
  kCancelled = 5,
  kPaused = 6,
};

struct RunStateSpec {
  RunState state;
  absl::string_view name;
};
// Each state once.
inline constexpr RunStateSpec kRunStates[] = {
    {RunState::kPending, "pending"},     {RunState::kRunning, "running"},
    {RunState::kSucceeded, "succeeded"}, {RunState::kFailed, "failed"},
    {RunState::kCancelled, "cancelled"}, {RunState::kPaused, "paused"},
};
// Empty for a number that is no state.
constexpr absl::string_view RunStateName(RunState state) {
  for (const RunStateSpec& spec : kRunStates) {
    if (spec.state == state) return spec.name;
  }
  return "";
}

inline bool Ended(RunState state) {
  return state == RunState::kSucceeded || state == RunState::kFailed ||
         state == RunState::kCancelled;
}

struct RunRow {
  std::string run_id;
  // Position in the order of submission.
  int64_t number = 0;
  std::string request_id;
  std::string spec_json;
  RunState state = RunState::kPending;
  std::string state_reason;
  // W_0 .. W_completed_rounds are (or were) there.
  int64_t completed_rounds = 0;
  std::string initial_weights_sha256;
  std::string weights_sha256;
  // JSON array.
  std::string buffer_names = "[]";
  std::string model_card;
  std::string teacher_digest;
  std::string dataset_digest;
  std::string numerics_fingerprint;
  bool inexact = false;
  int64_t lost_leases = 0;
  int64_t submitted_unix_seconds = 0;
  // Tasks that two workers did with different results.
  int64_t nondeterminism_alarms = 0;
  // SHA-256 of the spec as it was submitted, before names in it became ids; "" in rows of an older
  // version.
  std::string request_sha256 = {};
};

struct TaskRow {
  TaskId task;
  bool done = false;
  // What belongs to the accepted result.
  std::string request_id;
  std::string worker_id;
  // Training: the spooled delta, relative to the state folder, and its SHA-256.
  std::string delta_file;
  std::string delta_sha256;
  TrainMetrics metrics;
  int64_t failures = 0;
  // Ids of the workers on which it failed, with commas between.
  std::string failed_workers;
  // It is one of a quorum's deltas, and part of an average.
  bool counted = false;
  // Leases that ended without a word from the worker, or without progress, since the run began or
  // was resumed.
  int64_t losses = 0;
};

struct LeaseRow {
  Lease lease;
  std::string request_id;
  int64_t granted_unix_millis = 0;
  // 0 while active.
  int64_t ended_unix_millis = 0;
  LeaseOutcome outcome = LeaseOutcome::kActive;
};

// Round r gave W_{r+1}.
struct RoundRow {
  std::string run_id;
  int64_t round = 0;
  std::string weights_sha256;
  TrainMetrics metrics;
  // Median of the replicas' L2 norms.
  double delta_norm = 0;
  // Deltas averaged, and those of them that came from earlier rounds.
  int64_t delta_count = 0;
  int64_t late_delta_count = 0;
  // The guard put W_q in the place of W_{r+1}: q; else 0.
  int64_t rolled_back_to = 0;
  // The SHA-256 of the outer optimizer's moments after the round; "": it keeps none.
  std::string momentum_sha256 = {};
  std::string variance_sha256 = {};
};

struct WorkerRow {
  std::string worker_id;
  std::string request_id;
  std::string name;
  std::string numerics_fingerprint;
  std::string numerics;
  int64_t registered_unix_seconds = 0;
  // Name in the certificate that it was registered with; "" without one.
  std::string certificate = {};
  // Memory that it may use; 0: not known.
  int64_t memory_bytes = 0;
};

// The sizes of a run's shards, by which the samples of its tasks are counted; see SamplePlan.
struct PlanRow {
  std::string run_id;
  std::string shard_sizes;
};

// A run that was deleted and whose files may still be there.
struct DeletedRow {
  std::string run_id;
};

struct EvaluationRow {
  std::string run_id;
  int64_t round = 0;
  // Its details stand in details_json, see DetailsToJson.
  EvaluationMetrics metrics;
  std::string details_json;
};

class Record {
 public:
  // Everything as it was at Open.
  struct Contents {
    std::vector<RunRow> runs;
    std::vector<TaskRow> tasks;
    std::vector<LeaseRow> leases;
    std::vector<RoundRow> rounds;
    std::vector<WorkerRow> workers;
    std::vector<EvaluationRow> evaluations;
    std::vector<PlanRow> plans;
    std::vector<DeletedRow> deleted;
  };
  // DATA_LOSS for a damaged row, naming it; FAILED_PRECONDITION for another schema version.
  static absl::StatusOr<std::unique_ptr<Record>> Open(const std::string& path, Contents* contents);

  // Adds a row of the table to the contents, as Open does; the columns may be those of an older
  // version. DATA_LOSS for a value of another type than its column's.
  static absl::Status AddRow(const std::string& table,
                             const std::vector<std::pair<std::string, Value>>& values,
                             Contents* contents);

  // See Database.
  absl::Status DeferSync(GroupCommit* group) { return database_->DeferSync(group); }
  // Called with each error of the database, from then on.
  void SetErrorObserver(std::function<void(const absl::Status&)> observer) {
    database_->SetErrorObserver(std::move(observer));
  }
  // Several Puts in one durable step.
  absl::Status Transaction(const std::function<absl::Status()>& body) {
    return database_->Transaction(body);
  }
  // Puts rows, and the rows of vectors and optionals, in one durable step and in this order.
  template <typename... Rows>
  absl::Status PutAll(const Rows&... rows) {
    return Transaction([&] {
      absl::Status status;
      (void)(... && (status = PutEach(rows)).ok());
      return status;
    });
  }
  absl::Status Put(const RunRow& row);
  absl::Status Put(const TaskRow& row);
  absl::Status Put(const LeaseRow& row);
  absl::Status Put(const RoundRow& row);
  absl::Status Put(const WorkerRow& row);
  absl::Status Put(const EvaluationRow& row);
  absl::Status Put(const PlanRow& row);
  // The run's leases with tokens above `after`, in the order of their tokens, at most `limit`;
  // those that have ended too.
  absl::StatusOr<std::vector<LeaseRow>> LeasesOf(const std::string& run_id, int64_t after,
                                                 int64_t limit);
  // NOT_FOUND for a task without a recorded result or failure.
  absl::StatusOr<TaskRow> TaskOf(const TaskId& task);
  // Forgets the run in all tables but `deleted`, where it stays until FilesAreGone, in one durable
  // step. The lease with the highest fencing token stays, so that none is ever given twice.
  absl::Status DeleteRun(const std::string& run_id);
  // The deleted run's files are removed.
  absl::Status FilesAreGone(const std::string& run_id);
  // In one durable step.
  absl::Status ForgetWorkers(const std::vector<std::string>& worker_ids);

 private:
  explicit Record(std::unique_ptr<Database> database) : database_(std::move(database)) {}
  template <typename T>
  absl::Status PutEach(const T& row) {
    return Put(row);
  }
  template <typename T>
  absl::Status PutEach(const std::optional<T>& row) {
    return row.has_value() ? Put(*row) : absl::OkStatus();
  }
  template <typename T>
  absl::Status PutEach(const std::vector<T>& rows) {
    absl::Status status;
    for (size_t i = 0; status.ok() && i < rows.size(); ++i) status = Put(rows[i]);
    return status;
  }
  std::unique_ptr<Database> database_;
  std::unique_ptr<Table> runs_;
  std::unique_ptr<Table> tasks_;
  std::unique_ptr<Table> leases_;
  std::unique_ptr<Table> rounds_;
  std::unique_ptr<Table> workers_;
  std::unique_ptr<Table> evaluations_;
  std::unique_ptr<Table> plans_;
  std::unique_ptr<Table> deleted_;
};

}  // namespace distillery
