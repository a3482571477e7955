// The coordinator's domain: plans runs as tasks, leases the tasks, takes results, averages rounds, and
// keeps all of it in a durable record from which a restart goes on.
//
// Talks to nobody: the gRPC skin, the file system and SQLite are below and above it. Threads: safe for
// all. One thread of its own watches deadlines and hands tasks to waiting workers, one averages.
// Methods block for the disk; callbacks come from its threads, never under its lock.
// Not promised: fairness beyond "the run with the fewest leases first".
//
//   auto coordinator = *Coordinator::Open({.state_dir = "state"});
//   coordinator->Start();
//   RunView run = *coordinator->SubmitRun("request-1", spec);
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/run/run_spec.h"
#include "common/run/task.h"
#include "coordinator/lease_book.h"
#include "coordinator/record.h"
#include "coordinator/run_entry.h"
#include "coordinator/state_folder.h"

namespace distillery {

// Is told that a run has changed; asks for the new state by GetRun.
class RunListener {
 public:
  virtual ~RunListener() = default;
  virtual void OnRunChanged() = 0;
};

// A leased task with all that a worker needs to know of it.
struct TaskGrant {
  Lease lease;
  RunSpec spec;
  std::string weights_sha256;
  std::string expected_teacher_digest;
  std::string expected_dataset_digest;
};

struct LeaseAnswer {
  // Empty: no task now.
  std::optional<TaskGrant> grant;
  // If set: tasks wait for a worker that was started with this numerics.
  std::string wanted_numerics;
};

// What comes before the bytes of an upload; see DeltaHeader in coordinator_service.proto.
struct UploadHeader {
  std::string request_id;
  Lease lease;
  int64_t byte_count = 0;
  TrainMetrics metrics;
  std::vector<std::string> buffer_names;
  std::string teacher_digest;
  std::string dataset_digest;
  std::string model_card;
};

// Weights of one round, kept open while they are sent.
struct WeightsFile {
  std::unique_ptr<MappedFile> file;
  std::string sha256;
  int64_t round = 0;
  std::vector<std::string> buffer_names;
  std::string model_card;
};

class Coordinator {
 public:
  struct Options {
    std::string state_dir;
    absl::Duration lease_duration = absl::Seconds(30);
    // A run fails when one of its tasks has failed so often.
    int64_t max_task_failures = 3;
    // Newest rounds whose weights are kept.
    int64_t kept_rounds = 3;
    int64_t max_model_bytes = int64_t{4} << 30;
    Clock* clock = Clock::Real();
  };

  // Locks the state folder, reads the record, goes on with every run. FAILED_PRECONDITION if another
  // process has the folder; DATA_LOSS names a damaged row.
  static absl::StatusOr<std::unique_ptr<Coordinator>> Open(const Options& options);
  // Close, then joins.
  ~Coordinator();

  // Starts the threads. Without it, call Tick and AverageNext by hand (tests).
  void Start();
  // Ends waiting calls with UNAVAILABLE and stops the threads. The record stays as it is.
  void Close();
  // Ends overdue leases, hands tasks to waiting workers, tells listeners.
  void Tick();
  // Averages one round that is ready; false if there is none.
  bool AverageNext();

  // ALREADY_EXISTS never: the same request_id gives the same run. INVALID_ARGUMENT for a bad spec.
  absl::StatusOr<RunView> SubmitRun(const std::string& request_id, const RunSpec& spec);
  // NOT_FOUND.
  absl::StatusOr<RunView> GetRun(const std::string& run_id);
  absl::StatusOr<std::vector<RoundView>> GetRounds(const std::string& run_id);
  // Newest first; numbers below `before` (0: from the newest), at most `limit`.
  std::vector<RunView> ListRuns(int64_t before, int64_t limit);
  absl::StatusOr<RunView> CancelRun(const std::string& run_id);
  // Called for each change of the run while the listener lives. NOT_FOUND.
  absl::Status Watch(const std::string& run_id, const std::shared_ptr<RunListener>& listener);
  bool closing();

  // The same request_id gives the same worker.
  absl::StatusOr<WorkerRow> RegisterWorker(const std::string& request_id, const std::string& name,
                                           const std::string& fingerprint,
                                           const std::string& numerics);
  // Calls `done` once: with a task, with nothing after max_wait, or with NOT_FOUND (unknown worker),
  // UNAVAILABLE (closing) or CANCELLED (CancelWait). A worker holds one lease: asking with a new
  // request_id gives up the one before. Returns an id for CancelWait; 0 if `done` was called.
  int64_t LeaseTask(const std::string& request_id, const std::string& worker_id,
                    absl::Duration max_wait,
                    std::function<void(absl::StatusOr<LeaseAnswer>)> done);
  void CancelWait(int64_t wait_id);
  // ABORTED: the lease has ended; PERMISSION_DENIED: it is another worker's.
  absl::Status RenewLease(const Lease& lease, int64_t sample_count, const std::string& waiting_for);
  // The same request_id again, if one is given: OK, and counted once.
  absl::Status ReleaseTask(const Lease& lease, bool failed, const std::string& message,
                           const std::string& request_id = "");
  absl::Duration lease_duration() const { return options_.lease_duration; }
  const std::string& state_dir() const { return options_.state_dir; }

  // round -1: the newest. NOT_FOUND: run, or weights no longer kept; FAILED_PRECONDITION: the round
  // has not begun.
  absl::StatusOr<WeightsFile> OpenWeights(const std::string& run_id, int64_t round);

  // The parts of an upload; DeltaUpload (delta_upload.h) drives them.
  struct UploadPlan {
    // This result is recorded already: drop the bytes, answer "duplicate".
    bool duplicate = false;
    // Where to write, and the weights whose layout it must have ("" for initialise).
    std::string incoming_path;
    std::string expected_layout_path;
    int64_t max_bytes = 0;
  };
  absl::StatusOr<UploadPlan> PlanUpload(const UploadHeader& header);
  // Takes the checked and synced file at `path`. True: it was recorded before.
  absl::StatusOr<bool> CommitUpload(const UploadHeader& header, const std::string& path,
                                    const std::string& sha256);
  // True: it was recorded before.
  absl::StatusOr<bool> ReportEvaluation(const std::string& request_id, const Lease& lease,
                                        const EvaluationMetrics& metrics);

 private:
  struct Waiter {
    int64_t id = 0;
    std::string request_id;
    std::string worker_id;
    absl::Duration deadline;
    std::function<void(absl::StatusOr<LeaseAnswer>)> done;
  };
  struct WorkerEntry {
    WorkerRow row;
    absl::Duration last_seen;
  };
  enum class Standing { kOpen, kDuplicate };

  explicit Coordinator(const Options& options) : options_(options), leases_(options.lease_duration) {}
  absl::Status Load(const Record::Contents& contents) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<RunEntry*> FindRun(const std::string& run_id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  RunView ViewOf(const RunEntry& run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Marks the run as changed and wakes the threads.
  void Changed(const RunEntry& run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Wake() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Ends the run; its leases end as "cancelled".
  absl::Status EndRun(RunEntry& run, RunState state, const std::string& reason)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Queues averaging, or ends the run, if its state asks for it.
  absl::Status Advance(RunEntry& run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CollectGarbage(const RunEntry& run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::StatusOr<LeaseAnswer> TryLease(const std::string& request_id, const std::string& worker_id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<TaskGrant> Grant(RunEntry& run, TaskEntry& task, const WorkerEntry& worker,
                                  const std::string& request_id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  TaskGrant Describe(const RunEntry& run, const Lease& lease) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // May the worker do this run's tasks? Sets *wanted if it would have to be started differently.
  bool Fits(const RunEntry& run, const WorkerEntry& worker, std::string* wanted)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Ends an active lease with `outcome` and frees its task; the row is recorded by the caller.
  LeaseRow EndLease(const LeaseRow& row, const std::string& outcome)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status LoseLease(const LeaseRow& row, const std::string& outcome)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The active lease, or ABORTED / PERMISSION_DENIED.
  absl::StatusOr<LeaseRow> CheckLease(const Lease& lease) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether a result may be recorded for the task: kDuplicate if this request was.
  absl::StatusOr<Standing> CheckResult(const std::string& request_id, const Lease& lease)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckDigests(const RunEntry& run, const UploadHeader& header)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status RecordAverage(const std::string& run_id, int64_t round, const std::string& sha256)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::Duration Now() { return options_.clock->SteadyNow(); }
  int64_t WallMillis() { return absl::ToUnixMillis(options_.clock->WallNow()); }

  const Options options_;
  std::unique_ptr<StateFolder> folder_;

  Mutex mutex_;
  ConditionVariable wake_timer_;
  ConditionVariable wake_averager_;
  std::unique_ptr<Record> record_ ABSL_GUARDED_BY(mutex_);
  LeaseBook leases_ ABSL_GUARDED_BY(mutex_);
  // By run_id, and their order of submission.
  std::map<std::string, std::unique_ptr<RunEntry>> runs_ ABSL_GUARDED_BY(mutex_);
  std::vector<RunEntry*> run_order_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, WorkerEntry> workers_ ABSL_GUARDED_BY(mutex_);
  std::list<Waiter> waiters_ ABSL_GUARDED_BY(mutex_);
  int64_t last_wait_id_ ABSL_GUARDED_BY(mutex_) = 0;
  std::list<std::string> to_average_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> changed_ ABSL_GUARDED_BY(mutex_);
  // request_ids of counted results, so that a late retry is told "duplicate" and not "aborted".
  std::set<std::string> counted_requests_ ABSL_GUARDED_BY(mutex_);
  std::multimap<std::string, std::weak_ptr<RunListener>> listeners_ ABSL_GUARDED_BY(mutex_);
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread timer_;
  std::thread averager_;
};

}  // namespace distillery
