// The coordinator's domain: plans runs as tasks, leases the tasks, takes results, averages rounds,
// and keeps all of it in a durable record from which a restart goes on.
//
// Talks to nobody: the gRPC skin, the file system and SQLite are below and above it. Threads: safe
// for all. One thread of its own watches deadlines and hands tasks to waiting workers, one
// averages. Methods block for the disk; callbacks come from its threads, never under its lock.
//
//   auto coordinator = *Coordinator::Open({.state_dir = "state"});
//   coordinator->Start();
//   RunView run = *coordinator->SubmitRun("request-1", spec);
#pragma once

#include <functional>
#include <limits>
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
#include "common/weights/delta_encoding.h"
#include "common/weights/layout.h"
#include "coordinator/average.h"
#include "coordinator/broadcast.h"
#include "coordinator/disk_watch.h"
#include "coordinator/encoded_weights.h"
#include "coordinator/fair_share.h"
#include "coordinator/gauges.h"
#include "coordinator/lease_book.h"
#include "coordinator/request_memory.h"
#include "coordinator/run_entry.h"
#include "coordinator/state/group_commit.h"
#include "coordinator/state/record.h"
#include "coordinator/state/state_folder.h"
#include "coordinator/statistics.h"
#include "coordinator/strike_book.h"
#include "coordinator/worker_book.h"

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
  std::string model_card_sha256;
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
  std::string delta_encoding;
  std::vector<int64_t> samples_per_shard;
};

// Weights kept open while they are sent; of those that were uploaded there is the file alone.
struct WeightsFile {
  // "": uploaded ones.
  std::string run_id;
  std::shared_ptr<const BroadcastFile> file;
  // Of the file, and of the float32 weights that it holds, perhaps in another encoding.
  std::string sha256;
  std::string weights_sha256;
  int64_t round = 0;
  std::vector<std::string> buffer_names;
  std::string model_card;
};

// Who held a task when, and what came of it.
struct LeaseView {
  LeaseRow row;
  // Name of its worker.
  std::string worker_name;
  // Of a training task, if its result was taken under this lease.
  std::optional<TrainMetrics> metrics;
};

// What a worker does; counts are since the start.
struct WorkerView {
  WorkerRow row;
  absl::Duration silent;
  // It has not been heard of for a lease's duration.
  bool gone = false;
  // Empty: it waits for a task.
  std::optional<Lease> lease;
  absl::Duration held;
  int64_t sample_count = 0;
  int64_t done_tasks = 0;
  int64_t lost_leases = 0;
};

// What is known of a worker besides its numerics.
struct WorkerFacts {
  // Name in the certificate with which it registers; "" without one.
  std::string certificate;
  // Memory that it may use; 0: not known.
  int64_t memory_bytes = 0;
};

class Coordinator {
 public:
  struct Options {
    std::string state_dir;
    absl::Duration lease_duration = absl::Seconds(30);
    // A run pauses when one of its tasks has failed on so many workers, or so often where there are
    // fewer.
    int64_t max_task_failures = 3;
    // A run pauses when so many leases of one of its tasks have ended without a word from the
    // worker, or without progress. In a fleet whose workers are killed at random a task is lost so
    // often only if nearly all leases are.
    int64_t max_task_losses = 10;
    // A worker that renews its lease but has trained on nothing more for so long loses its task.
    absl::Duration stall_limit = absl::InfiniteDuration();
    // Newest rounds whose weights are kept.
    int64_t kept_rounds = 3;
    int64_t max_model_bytes = int64_t{4} << 30;
    // LeaseTask calls of one worker that may wait; more get RESOURCE_EXHAUSTED.
    int64_t max_waits_per_worker = 8;
    // What to do when fsync fails; by default the process ends, see DiskWatch.
    DiskWatch::FailureHandler on_disk_failure;
    Clock* clock = Clock::Real();
  };

  // Locks the state folder, reads the record, goes on with every run. FAILED_PRECONDITION if
  // another process has the folder; DATA_LOSS names a damaged row.
  static absl::StatusOr<std::unique_ptr<Coordinator>> Open(const Options& options);
  // Close, then joins.
  ~Coordinator();

  // Starts the threads. Without it, call Tick and AverageNext by hand (tests).
  void Start();
  // Ends waiting calls with UNAVAILABLE and stops the threads. The record stays as it is.
  void Close();
  // Ends overdue leases, hands tasks to waiting workers, tells listeners.
  void Tick();
  // Averages one round that is ready, or rebuilds weights that are damaged; false if there is
  // nothing to do.
  bool AverageNext();

  // ALREADY_EXISTS never: the same request_id gives the same run. INVALID_ARGUMENT for a bad spec;
  // FAILED_PRECONDITION if its initial weights have not been uploaded, or a run that it depends on
  // is not known or has ended without success.
  absl::StatusOr<RunView> SubmitRun(const std::string& request_id, const RunSpec& spec);
  // NOT_FOUND. `with_details`: with the details of the latest evaluation, which may be large.
  absl::StatusOr<RunView> GetRun(const std::string& run_id, bool with_details = false);
  // At most `limit` completed rounds, from the number `first` on, without details of evaluations.
  absl::StatusOr<std::vector<RoundView>> GetRounds(const std::string& run_id, int64_t first,
                                                   int64_t limit);
  absl::StatusOr<std::vector<RoundView>> GetRounds(const std::string& run_id) {
    return GetRounds(run_id, 0, std::numeric_limits<int64_t>::max());
  }
  // Newest first; numbers below `before` (0: from the newest), at most `limit`.
  std::vector<RunView> ListRuns(int64_t before, int64_t limit);
  // The run's leases, those that have ended too, with tokens above `after`, oldest first; at most
  // `limit`. NOT_FOUND; DATA_LOSS for a damaged row.
  absl::StatusOr<std::vector<LeaseView>> ListLeases(const std::string& run_id, int64_t after,
                                                    int64_t limit);
  // The workers heard of within the last ten lease durations, in the order of PlaceOf: at most
  // `limit` of those behind the place `after` ("": from the first one).
  std::vector<WorkerView> ListWorkers(const std::string& after, int64_t limit);
  // The worker's place in lists: by name, then by id.
  static std::string PlaceOf(const WorkerRow& worker);
  absl::StatusOr<RunView> CancelRun(const std::string& run_id);
  // Forgets a run that has ended, its weights too. FAILED_PRECONDITION if it has not, or if another
  // run waits for it.
  absl::Status DeleteRun(const std::string& run_id);
  // Takes back the run's tasks and leases no more; nothing if it is paused or has ended.
  absl::StatusOr<RunView> PauseRun(const std::string& run_id);
  // Goes on with a paused run and forgets the failures and losses of its tasks. FAILED_PRECONDITION
  // if its record is damaged.
  absl::StatusOr<RunView> ResumeRun(const std::string& run_id);
  // Called when the run has changed while the listener lives, ten times a second at most, and at
  // once when it ends or pauses. NOT_FOUND.
  absl::Status Watch(const std::string& run_id, const std::shared_ptr<RunListener>& listener);
  bool closing();

  // The same request_id gives the same worker; INVALID_ARGUMENT if anything else differs from the
  // first request. Beyond WorkerBook::kMost workers those that have been silent for longest are
  // forgotten, and must register again; RESOURCE_EXHAUSTED if all of them are alive.
  absl::StatusOr<WorkerRow> RegisterWorker(const std::string& request_id, const std::string& name,
                                           const std::string& fingerprint,
                                           const std::string& numerics,
                                           const WorkerFacts& facts = {});
  // OK if a caller with this certificate may act as the worker ("": no caller has certificates).
  // Else PERMISSION_DENIED, or NOT_FOUND for a worker that must register again.
  absl::Status CheckCaller(const std::string& worker_id, const std::string& certificate);
  // Calls `done` once: with a task, with nothing after max_wait, or with NOT_FOUND (unknown
  // worker), UNAVAILABLE (closing) or CANCELLED (CancelWait). A worker holds one lease: asking with
  // a new request_id gives up the one before. Returns an id for CancelWait; 0 if `done` was called.
  int64_t LeaseTask(const std::string& request_id, const std::string& worker_id,
                    absl::Duration max_wait, std::function<void(absl::StatusOr<LeaseAnswer>)> done);
  void CancelWait(int64_t wait_id);
  // ABORTED: the lease has ended; PERMISSION_DENIED: it is another worker's.
  absl::Status RenewLease(const Lease& lease, int64_t sample_count, const std::string& waiting_for);
  // The same request_id again, if one is given: OK, and counted once.
  absl::Status ReleaseTask(const Lease& lease, bool failed, const std::string& message,
                           const std::string& request_id = "");
  absl::Duration lease_duration() const { return options_.lease_duration; }
  const std::string& state_dir() const { return options_.state_dir; }
  Clock* clock() const { return options_.clock; }
  // What was counted since the start; for all who have something to count.
  Statistics& statistics() { return statistics_; }
  Gauges gauges();
  // Looks at the outcome of a write outside the coordinator's own code (see DiskWatch); returns it.
  absl::Status NoteWrite(const absl::Status& status) { return disk_.Note(status); }
  // The worker sent what no correct worker sends; `reason` as for Count::kRejectedDeltas.
  void NoteBadResult(const Lease& lease, const std::string& reason, const absl::Status& status);

  // round -1: the newest. NOT_FOUND: run, or weights no longer kept; FAILED_PRECONDITION: the round
  // has not begun; UNAVAILABLE: they are damaged and being rebuilt; DATA_LOSS: they cannot be
  // rebuilt. May block for the disk.
  absl::StatusOr<WeightsFile> OpenWeights(const std::string& run_id, int64_t round);
  // The layout that all weights and deltas of the run have; errors as OpenWeights.
  absl::StatusOr<WeightsLayout> LayoutOf(const std::string& run_id);
  // Says what comes of weights that could not be read to their end; see OpenWeights.
  absl::Status NoteUnreadable(const WeightsFile& weights, const absl::Status& status);
  // The same in half the bytes (see EncodedWeights). May block for the disk.
  absl::StatusOr<WeightsFile> OpenFloat16Weights(const std::string& run_id, int64_t round);

  // Weights to start from: WeightsUpload (weights_upload.h) drives these two. NOT_FOUND if there
  // are none of that SHA-256; RESOURCE_EXHAUSTED for more than the size limit.
  absl::StatusOr<WeightsFile> OpenUploadedWeights(const std::string& sha256);
  absl::StatusOr<std::string> PlanWeightsUpload(int64_t byte_count, const std::string& sha256);
  // Takes the checked and synced file at `path`.
  absl::Status CommitWeightsUpload(const std::string& path, const std::string& sha256);

  // The parts of an upload; DeltaUpload (delta_upload.h) drives them.
  struct UploadPlan {
    // This result is recorded already: drop the bytes, answer "duplicate".
    bool duplicate = false;
    // Where to write what comes in, and the decoded delta.
    std::string incoming_path;
    std::string decoded_path;
    DeltaEncoding encoding = DeltaEncoding::kFloat32;
    // It must have the layout of the run's weights; which of its tensors are buffers.
    bool has_layout = false;
    std::vector<std::string> buffer_names;
  };
  // INVALID_ARGUMENT for figures that do not follow from the run's plan; this counts against the
  // worker, as in ReportEvaluation.
  absl::StatusOr<UploadPlan> PlanUpload(const UploadHeader& header);
  // Whether a result under this lease would still be looked at.
  absl::Status CheckUpload(const std::string& request_id, const Lease& lease);
  // Takes the checked and synced file at `path`. True: it was recorded before.
  absl::StatusOr<bool> CommitUpload(const UploadHeader& header, const std::string& path,
                                    const std::string& sha256);
  // True: it was recorded before.
  absl::StatusOr<bool> ReportEvaluation(const std::string& request_id, const Lease& lease,
                                        const EvaluationMetrics& metrics);

 private:
  // Holds mutex_. What was recorded until then is on disk when the destructor returns, which waits
  // for that without the mutex. For all that acknowledges; what only looks takes a MutexLock.
  class ABSL_SCOPED_LOCKABLE RecordLock {
   public:
    explicit RecordLock(Coordinator* coordinator) ABSL_EXCLUSIVE_LOCK_FUNCTION(coordinator->mutex_)
        : coordinator_(coordinator) {
      coordinator_->mutex_.Lock();
    }
    ~RecordLock() ABSL_UNLOCK_FUNCTION();
    RecordLock(const RecordLock&) = delete;
    RecordLock& operator=(const RecordLock&) = delete;

   private:
    Coordinator* const coordinator_;
  };
  struct Waiter {
    int64_t id = 0;
    std::string request_id;
    std::string worker_id;
    absl::Duration deadline;
    std::function<void(absl::StatusOr<LeaseAnswer>)> done;
  };
  // kSuperseded: another worker's result of the same task was taken; this one is compared with it.
  enum class Standing { kOpen, kDuplicate, kSuperseded };
  struct Superseded {
    Lease lease;
    // Of the result that was taken.
    std::string delta_sha256;
    absl::Duration until;
  };

  explicit Coordinator(const Options& options)
      : options_(options),
        statistics_(options.clock),
        disk_(options.state_dir, options.clock, &statistics_, options.on_disk_failure),
        group_commit_([this] { return folder_->SyncRecordLog(); },
                      [this](const absl::Status& status) { (void)disk_.Note(status); }),
        leases_(options.lease_duration) {}
  absl::Status Load(const Record::Contents& contents) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<RunEntry*> FindRun(const std::string& run_id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  RunView ViewOf(const RunEntry& run, bool with_details = false)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Marks the run as changed and wakes the threads.
  void Changed(const RunEntry& run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Wake() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Ends the run; its leases end as "cancelled".
  absl::Status EndRun(RunEntry& run, RunState state, const std::string& reason)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Ends the run's leases with `outcome` and puts the row, in one durable step.
  absl::Status PutRunWithoutLeases(const RunRow& row, const std::string& outcome)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Pause(RunEntry& run, const std::string& reason)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Forgets uploaded weights that no run will start from any more, oldest first, down to a number.
  void LimitUploadedWeights(size_t keep) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Queues averaging, or ends the run, if its state asks for it.
  absl::Status Advance(RunEntry& run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CollectGarbage(const RunEntry& run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Files and folders that nothing recorded needs any more; removed once that record is on disk.
  void AddGarbage(std::vector<std::string> paths) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::StatusOr<LeaseAnswer> TryLease(const std::string& request_id, const std::string& worker_id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What this worker may do, or do as well, a task of each run that has one: the run whose turn it
  // is first.
  std::vector<std::pair<RunEntry*, TaskEntry*>> TasksByTurn(const WorkerEntry& worker, bool backup)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The task of the run that this worker should do next, or null.
  TaskEntry* TaskFor(RunEntry& run, const WorkerEntry& worker)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The training task that is worth being done by this worker as well, or null.
  TaskEntry* StragglerFor(RunEntry& run, const WorkerEntry& worker)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Advances runs whose time has come: a quorum's deadline is over, or advancing had failed.
  void AdvanceOverdueRuns() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // When the timer must look again, whatever happens before.
  absl::Duration NextWake() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // From when on the run's listeners may be told of changes again.
  absl::Duration TellAfter(const RunEntry& run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether the worker gets no task for now, because of results that it sent or owed.
  bool Rests(const WorkerEntry& worker) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Alive(const WorkerEntry& worker) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  int64_t CountLiveWorkers() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // From when on a worker that is alive was heard of.
  absl::Duration AliveSince() { return Now() - options_.lease_duration; }
  // Forgets workers that have been silent for longest, until there is room for `more`.
  // RESOURCE_EXHAUSTED if all that are left are alive.
  absl::Status ForgetWorkers(size_t more) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Replaces the names of runs by ids.
  absl::Status ResolveDependencies(RunSpec* spec) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Sets run.blocked_by; FAILED_PRECONDITION if what it depends on has ended without success.
  absl::Status CheckDependencies(RunEntry& run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What DeleteRun does to the record and in memory.
  absl::Status ForgetRun(const std::string& run_id);
  // Unblocks or fails the runs that depend on `ended`.
  absl::Status UpdateDependents(const std::string& ended) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Does what the guard says to the newest evaluation.
  absl::Status ObeyGuard(RunEntry& run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The best weights take the place of the present ones.
  absl::Status RollBack(RunEntry& run, int64_t best_round) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Two workers' results of one task differ: says so, pauses a run that promised exactness.
  absl::Status RaiseNondeterminismAlarm(RunEntry& run, const Lease& lease)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::StatusOr<TaskGrant> Grant(RunEntry& run, TaskEntry& task, const WorkerEntry& worker,
                                  const std::string& request_id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  TaskGrant Describe(const RunEntry& run, const Lease& lease) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // May the worker do this run's tasks? Sets *wanted if it would have to be started differently.
  bool Fits(const RunEntry& run, const WorkerEntry& worker, std::string* wanted)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether the worker's memory, if it is known, can hold what the task computes.
  static bool HasMemory(const RunEntry& run, const TaskEntry& task, const WorkerEntry& worker);
  // Why none of the present workers can train the run; empty if one can, or if that is not known.
  std::string MemoryProblem(const RunEntry& run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Ends an active lease with `outcome` and frees its task; the row is recorded by the caller.
  LeaseRow EndLease(const LeaseRow& row, const std::string& outcome)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The same for a lease that its holder did not end; records it. A holder that asks for another
  // task without a result or a reason ("abandoned") has failed at this one, see NoteFailure.
  absl::Status LoseLease(const LeaseRow& row, const std::string& outcome)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Pauses the run if the lease's task has failed too often. Its row counts this failure already.
  absl::Status NoteFailure(const Lease& lease, const std::string& why)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The active lease, or ABORTED / PERMISSION_DENIED.
  absl::StatusOr<LeaseRow> CheckLease(const Lease& lease) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether a result may be recorded for the task: kDuplicate if this request was.
  absl::StatusOr<Standing> CheckResult(const std::string& request_id, const Lease& lease)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The result of a worker that was slower than another.
  absl::Status CompareSuperseded(const Lease& lease, const std::string& sha256)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Of a file that has its place: `spool_name`, or that of W_0. As CommitUpload.
  absl::StatusOr<bool> RecordResult(const UploadHeader& header, const std::string& spool_name,
                                    const std::string& sha256)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What PlanUpload does under the lock.
  absl::StatusOr<UploadPlan> PlaceUpload(const UploadHeader& header);
  // Checks the figures of a training task, and its number of samples against the run's plan.
  absl::Status CheckFigures(const UploadHeader& header);
  absl::Status CheckDigests(const RunEntry& run, const UploadHeader& header)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What to average for W_{round+1}. REQUIRES: `tasks` are the round's, done, in replica order.
  AverageRequest RequestAverage(const RunEntry& run, int64_t round,
                                const std::vector<TaskRow>& tasks)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Puts what was averaged in its place, the weights last: a crash before leaves a round that is
  // simply averaged again.
  absl::Status PublishAverage(const AverageRequest& request, const std::string& run_id,
                              int64_t round);
  // Files that are not as the record says (coordinator_repair.cc): tasks are done again, weights
  // are rebuilt by AverageNext.
  void HandleDamage(RunEntry& run, const AverageResult& average)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status RedoTasks(RunEntry& run, const std::vector<TaskRow>& tasks)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Marks the run's newest weights as damaged; nothing is leased until they are rebuilt.
  void QueueRebuild(RunEntry& run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RebuildWeights(const std::string& run_id);
  // What cannot be done for want of room or of descriptors is asked for again once there are some
  // (FollowDisk); true if the status is such.
  bool WaitsForDisk(RunEntry& run, const absl::Status& status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The files that the run's next round starts from, and what they must be.
  std::vector<std::pair<std::string, std::string>> NewestFiles(const RunEntry& run)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status InitialiseAgain(RunEntry& run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // When the disk is full or descriptors are used up, and when there is room or one is free again.
  void FollowDisk() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status RecordAverage(const std::string& run_id, int64_t round, const AverageResult& average)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::Duration Now() { return options_.clock->SteadyNow(); }
  int64_t WallMillis() { return absl::ToUnixMillis(options_.clock->WallNow()); }

  const Options options_;
  Statistics statistics_;
  DiskWatch disk_;
  std::unique_ptr<StateFolder> folder_;
  GroupCommit group_commit_;
  Broadcasts broadcasts_;
  EncodedWeights encoded_;

  Mutex mutex_;
  ConditionVariable wake_timer_;
  ConditionVariable wake_averager_;
  std::unique_ptr<Record> record_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> garbage_ ABSL_GUARDED_BY(mutex_);
  // Where results are that have been given their name and are about to be recorded.
  std::set<std::string> committing_ ABSL_GUARDED_BY(mutex_);
  LeaseBook leases_ ABSL_GUARDED_BY(mutex_);
  // By run_id, and their order of submission.
  std::map<std::string, std::unique_ptr<RunEntry>> runs_ ABSL_GUARDED_BY(mutex_);
  std::vector<RunEntry*> run_order_ ABSL_GUARDED_BY(mutex_);
  WorkerBook workers_ ABSL_GUARDED_BY(mutex_);
  FairShare share_ ABSL_GUARDED_BY(mutex_);
  // By fencing token.
  std::map<int64_t, Superseded> superseded_ ABSL_GUARDED_BY(mutex_);
  std::list<Waiter> waiters_ ABSL_GUARDED_BY(mutex_);
  int64_t last_wait_id_ ABSL_GUARDED_BY(mutex_) = 0;
  std::list<std::string> to_average_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> changed_ ABSL_GUARDED_BY(mutex_);
  // Of counted results, so that a late retry is told "duplicate" and not "aborted".
  RequestMemory counted_requests_ ABSL_GUARDED_BY(mutex_);
  StrikeBook strikes_ ABSL_GUARDED_BY(mutex_);
  // What runs were last shown to wait for.
  DiskWatch::Lack shown_lack_ ABSL_GUARDED_BY(mutex_) = DiskWatch::Lack::kNothing;
  int64_t seen_recoveries_ ABSL_GUARDED_BY(mutex_) = 0;
  std::multimap<std::string, std::weak_ptr<RunListener>> listeners_ ABSL_GUARDED_BY(mutex_);
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  // When waiting workers were last offered what there was.
  absl::Duration offered_ ABSL_GUARDED_BY(mutex_) = -absl::InfiniteDuration();
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread timer_;
  std::thread averager_;
};

}  // namespace distillery
