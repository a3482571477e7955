// The coordinator's domain: plans runs as tasks, leases the tasks, takes results, averages rounds,
// and keeps all of it in a durable record from which a restart goes on.
//
// A ledger (ledger.h) holds what is known; desks work on it, one for each thing that callers want.
// Talks to nobody: the gRPC skin, the file system and SQLite are below and above it. Threads: safe
// for all. One thread of its own watches deadlines and hands tasks to waiting workers, one
// averages. Methods block for the disk; callbacks come from its threads, never under its lock.
//
//   auto coordinator = *Coordinator::Open({.state_dir = "state"});
//   coordinator->Start();
//   RunView run = *coordinator->runs().Submit("request-1", spec);
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "coordinator/coordinator_options.h"
#include "coordinator/gauges.h"
#include "coordinator/lease_desk.h"
#include "coordinator/ledger.h"
#include "coordinator/result_desk.h"
#include "coordinator/round_closer.h"
#include "coordinator/run_desk.h"
#include "coordinator/statistics.h"
#include "coordinator/weights_shelf.h"

namespace distillery {

class Coordinator {
 public:
  using Options = CoordinatorOptions;

  // Locks the state folder, reads the record, goes on with every run. FAILED_PRECONDITION if
  // another process has the folder; DATA_LOSS names a damaged row.
  static absl::StatusOr<std::unique_ptr<Coordinator>> Open(const Options& options);
  // Close, then joins.
  ~Coordinator();

  // Starts the threads. Without it, call Tick and AverageNext by hand (tests).
  void Start();
  // Ends waiting calls with UNAVAILABLE and stops the threads. The record stays as it is.
  void Close();
  bool closing();
  // Ends overdue leases, hands tasks to waiting workers, tells listeners.
  void Tick();
  // Averages one round that is ready, or rebuilds weights that are damaged; false if there is
  // nothing to do.
  bool AverageNext() { return closer_.AverageNext(); }

  RunDesk& runs() { return runs_; }
  LeaseDesk& leases() { return leases_; }
  ResultDesk& results() { return results_; }
  WeightsShelf& weights() { return weights_; }

  absl::Duration lease_duration() const { return ledger_->options.lease_duration; }
  const std::string& state_dir() const { return ledger_->options.state_dir; }
  Clock* clock() const { return ledger_->options.clock; }
  // What was counted since the start; for all who have something to count.
  Statistics& statistics() { return ledger_->statistics; }
  Gauges gauges();
  // Looks at the outcome of a write outside the coordinator's own code (see DiskWatch); returns it.
  absl::Status NoteWrite(const absl::Status& status) { return ledger_->disk.Note(status); }

 private:
  explicit Coordinator(std::unique_ptr<Ledger> ledger);
  void RunTimer();
  void RunAverager();

  const std::unique_ptr<Ledger> ledger_;
  WeightsShelf weights_;
  RunDesk runs_;
  LeaseDesk leases_;
  ResultDesk results_;
  RoundCloser closer_;
  std::thread timer_;
  std::thread averager_;
};

}  // namespace distillery
