// A worker: leases a task, does it, returns the result, for ever.
//
// Talks to a coordinator and a teacher. Threads: Run in one thread (it computes there), a second
// one renews leases; Stop from any. Holds no state: whatever it loses is done again, with equal
// bits.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <tuple>

#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/model/model_shelf.h"
#include "common/rpc/call_canceller.h"
#include "common/rpc/connection.h"
#include "student_worker/rpc/coordinator_client.h"
#include "student_worker/rpc/dataset_finder.h"
#include "student_worker/rpc/task_lease.h"
#include "student_worker/rpc/teacher_channels.h"
#include "student_worker/training/torch_tasks.h"
#include "student_worker/worker_statistics.h"

namespace distillery {

class Worker {
 public:
  struct Options {
    // For the coordinator's record and for people.
    std::string name = "worker";
    std::string data_dir;
    // Get data that is not in `data_dir` from the teachers.
    bool data_from_teachers = true;
    // Warn of each task that fails. Off where the run's end tells the same in this process.
    bool warn_of_failures = true;
    // Folder (or file) of the TorchScript students that runs may name by digest.
    std::string student_dir;
    std::string coordinator_address = "127.0.0.1:7002";
    // "cpu", "cuda" or "cuda:N", and ComputeFingerprint of it.
    std::string device = "cpu";
    std::string numerics_fingerprint;
    // Memory that tasks may use on the device where they compute; 0: not known.
    int64_t memory_bytes = 0;
  };
  // `teachers` may be null: tasks that need one then fail.
  Worker(const Options& options, std::shared_ptr<Connection> coordinator,
         std::unique_ptr<TeacherChannels> teachers);

  // Opens the data and the student's file of a run that this worker will do, so that its tasks find
  // the data open. INVALID_ARGUMENT or NOT_FOUND for a run that it cannot do. Call it before Run.
  absl::StatusOr<std::shared_ptr<const Dataset>> OpenRunData(const RunSpec& spec);
  // Works until Stop; then gives its task back and returns. Returns the numerics that waiting tasks
  // need if that is not this process's own: start anew with it. Waits for a coordinator that is
  // away. One that is there and does not let it in is the error, before it has registered; from
  // then on certificates are being changed, and it waits for that as well.
  absl::StatusOr<std::string> Run();
  void Stop();
  // What it has done so far; safe for all threads.
  const WorkerStatistics& statistics() const { return statistics_; }

 private:
  // False if neither a result nor the reason for having none has reached the coordinator.
  bool Execute(const WorkerTask& task);
  // OK: done or given back. Else the task was dropped or has failed. `outcome`: which of them;
  // `settled`: as Execute.
  absl::Status DoTask(const WorkerTask& task, TaskOutcome* outcome, bool* settled);
  // Gives the task back. Tries for as long as the lease lasts, or only once if the worker is
  // stopping.
  absl::Status Release(const WorkerTask& task, bool failed, const std::string& message);
  // Gives back what the coordinator leased to a request whose answer Stop has cut off: else nobody
  // would work on it until the lease ends.
  void GiveBackUnheard(const std::string& lease_request, const std::string& worker_id);
  absl::Status Initialise(TaskLease* lease);
  absl::Status Train(TaskLease* lease);
  absl::Status Evaluate(TaskLease* lease);
  // Adds the figures of the guard's split; `job` is that of the evaluation split, `metrics` its
  // result.
  absl::Status EvaluateHeldOut(TaskLease* lease, EvaluationJob job, EvaluationMetrics* metrics);
  absl::StatusOr<std::shared_ptr<const Dataset>> OpenDataset(TaskLease* lease,
                                                             const DatasetReference& reference,
                                                             const std::string& expected_digest);
  // The file of a student that is one; "" for a built-in architecture.
  absl::StatusOr<std::string> FindStudent(const RunSpec& spec);
  // Keeps the weights downloaded last: tasks of one round start from the same.
  // `encoding`: in which they may travel.
  absl::StatusOr<const DownloadedWeights*> FetchWeights(TaskLease* lease,
                                                        const std::string& encoding);
  // Tells the coordinator, with the next renewal, and the statistics what the task waits for.
  void SetWaitingFor(TaskLease* lease, const std::string& waiting_for);
  // Waits for `time`, or until Stop.
  void Pause(absl::Duration time);

  const Options options_;
  WorkerStatistics statistics_;
  ModelShelf students_;
  CallCanceller canceller_;
  const std::unique_ptr<TeacherChannels> teachers_;
  // Used by the thread of Run.
  DatasetFinder datasets_;
  const std::shared_ptr<Connection> connection_;
  CoordinatorClient coordinator_;
  std::atomic<bool> stopping_{false};
  // Everything that the last downloaded weights, and the card and buffer names beside them, depend
  // on. The SHA-256 of the weights is not enough: two runs of the same W_0 may have unlike cards
  // and buffers.
  struct WeightsKey {
    std::string run_id;
    std::string weights_sha256;
    std::string model_card_sha256;
    std::string encoding;
    friend bool operator==(const WeightsKey& a, const WeightsKey& b) {
      return std::tie(a.run_id, a.weights_sha256, a.model_card_sha256, a.encoding) ==
             std::tie(b.run_id, b.weights_sha256, b.model_card_sha256, b.encoding);
    }
  };
  // The key of weights_, if there are any.
  WeightsKey weights_key_;
  std::unique_ptr<DownloadedWeights> weights_;

  Mutex mutex_;
  ConditionVariable changed_;
  // The present task's; null between tasks.
  TaskLease* lease_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool stop_requested_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace distillery
