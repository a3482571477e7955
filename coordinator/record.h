// The coordinator's durable record: runs, rounds, tasks, leases, workers and evaluations in SQLite
// (state/record.sqlite3), readable with `sqlite3` while the coordinator runs.
//
// Threads: one at a time; Coordinator guards it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/run/task.h"
#include "coordinator/table.h"

namespace distillery {

enum class RunState { kPending = 1, kRunning = 2, kSucceeded = 3, kFailed = 4, kCancelled = 5 };

inline bool Ended(RunState state) {
  return state != RunState::kPending && state != RunState::kRunning;
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
};

struct TaskRow {
  TaskId task;
  bool done = false;
  // Of the accepted result.
  std::string request_id;
  std::string worker_id;
  // Training: the spooled delta, relative to the state folder, and its SHA-256.
  std::string delta_file;
  std::string delta_sha256;
  TrainMetrics metrics;
  int64_t failures = 0;
};

struct LeaseRow {
  Lease lease;
  std::string request_id;
  int64_t granted_unix_millis = 0;
  // 0 while active.
  int64_t ended_unix_millis = 0;
  // "active", "done", "expired", "released", "failed", "abandoned", "cancelled".
  std::string outcome = "active";
};

// Round r gave W_{r+1}.
struct RoundRow {
  std::string run_id;
  int64_t round = 0;
  std::string weights_sha256;
  TrainMetrics metrics;
};

struct WorkerRow {
  std::string worker_id;
  std::string request_id;
  std::string name;
  std::string numerics_fingerprint;
  std::string numerics;
  int64_t registered_unix_seconds = 0;
};

struct EvaluationRow {
  std::string run_id;
  int64_t round = 0;
  EvaluationMetrics metrics;
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
  };
  // DATA_LOSS for a damaged row, naming it; FAILED_PRECONDITION for another schema version.
  static absl::StatusOr<std::unique_ptr<Record>> Open(const std::string& path, Contents* contents);

  // Several Puts in one durable step.
  absl::Status Transaction(const std::function<absl::Status()>& body) {
    return database_->Transaction(body);
  }
  absl::Status Put(const RunRow& row);
  absl::Status Put(const TaskRow& row);
  absl::Status Put(const LeaseRow& row);
  absl::Status Put(const RoundRow& row);
  absl::Status Put(const WorkerRow& row);
  absl::Status Put(const EvaluationRow& row);

 private:
  explicit Record(std::unique_ptr<Database> database) : database_(std::move(database)) {}
  std::unique_ptr<Database> database_;
  std::unique_ptr<Table> runs_;
  std::unique_ptr<Table> tasks_;
  std::unique_ptr<Table> leases_;
  std::unique_ptr<Table> rounds_;
  std::unique_ptr<Table> workers_;
  std::unique_ptr<Table> evaluations_;
};

}  // namespace distillery
