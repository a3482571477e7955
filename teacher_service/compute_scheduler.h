// The device: compute threads that take work from a WorkQueue, and what they have done.
//
// Threads: safe for all. Add never blocks. Callbacks run on compute threads without locks and must
// not block for long. Close before destroying what callbacks use.
//
//   ComputeScheduler scheduler({}, Clock::Real());
//   scheduler.AddQuery({teacher, inputs, rows, deadline, cancelled, done});
#pragma once

#include <array>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "teacher_service/work_queue.h"

namespace distillery {

// What one model has done since the service started.
struct ModelStatistics {
  int64_t query_count = 0;
  int64_t failed_query_count = 0;
  // Rows of queries, and of cuts.
  int64_t query_row_count = 0;
  int64_t stream_row_count = 0;
  // Forward passes for queries, and for cuts.
  int64_t query_batch_count = 0;
  int64_t stream_batch_count = 0;
  // Sum over queries of the time in the queue; sum over forward passes of the time in the teacher.
  absl::Duration queue_time;
  absl::Duration compute_time;
  // Sum over answered queries of the time of the forward passes that each was part of.
  absl::Duration query_compute_time;
  // Forward passes for queries by their rows.
  struct Passes {
    int64_t count = 0;
    absl::Duration time;
  };
  std::map<int64_t, Passes> query_passes;
  // Batches that the device had no memory for, and that were split.
  int64_t split_batch_count = 0;
  // On the wall clock; UnixEpoch if none yet.
  absl::Time last_query = absl::UnixEpoch();
  // Forward passes by size: up to 1, 2, 4, ... 2^15 rows, and more.
  static constexpr int kSizeBuckets = 17;
  std::array<int64_t, kSizeBuckets> batch_sizes{};
  // Sum over forward passes of their rows, failed ones included.
  int64_t batch_row_count = 0;
};

class ComputeScheduler {
 public:
  struct Options {
    // Forward passes at once.
    int slots = 1;
    WorkQueue::Options queue;
  };
  ComputeScheduler(const Options& options, Clock* clock);
  // Close, if not done yet.
  ~ComputeScheduler();

  // INVALID_ARGUMENT for inputs that CheckQueryInputs of query_inputs.h refuses, so that they never
  // join a batch with those of others. UNAVAILABLE if the queue is full or closed. `done` is then
  // not called.
  absl::Status AddQuery(Query query);
  // After Close, `cut.run` is called at once, with UNAVAILABLE.
  void AddCut(CutWork cut);
  // Ends what waits with UNAVAILABLE, lets what computes end, joins.
  void Close();

  // ComputeLogits; a batch that the device has no memory for is split in two once, and each half
  // tried again. Rows that are not finite stay as they are. For CutWork::run, which counts its own
  // work with it.
  absl::Status Compute(Teacher& teacher, const InputColumns& inputs, int64_t rows, float* logits,
                       Lane lane);
  // The same with ComputeLogitsOfBytes.
  absl::Status ComputeBytes(Teacher& teacher, const uint8_t* bytes, int pixel_max, int64_t rows,
                            float* logits, Lane lane);

  std::map<std::string, ModelStatistics> statistics() const;
  int64_t queued_query_rows() const;
  int64_t queued_cuts() const;
  // Compute threads that are at work.
  int busy_slots() const;
  Clock* clock() const { return clock_; }

 private:
  // Computes `count` rows from row `first` on.
  using ComputeRows = std::function<absl::Status(int64_t first, int64_t count, float* logits)>;

  void Run();
  absl::Status ComputeOrSplit(Teacher& teacher, const ComputeRows& compute, int64_t rows,
                              float* logits, Lane lane);
  // Queries of a batch that are answered together.
  struct Part {
    Query* queries = nullptr;
    size_t count = 0;
    // Inputs of all queries, end to end.
    InputColumns inputs;
    int64_t rows = 0;
  };

  // Computes the queries and tells each its answer. If they fail together, each half of them is
  // tried again, and so on: it may be a single query that is wrong.
  void Answer(const Part& part);
  // False if the teacher or a query needs logits, or the device has no memory for it in one batch.
  bool AnswerEncoded(const Part& part);
  // Tries the halves of a part that has failed with `status`. False if that status is no reason to.
  bool AnswerApart(const Part& part, const absl::Status& status);
  // Counts one batch that took so long.
  void Count(const Teacher& teacher, Lane lane, int64_t rows, int64_t passes, bool ok,
             absl::Duration taken);
  // `answers`: the status of each query.
  void CountQueries(const Part& part, const std::vector<absl::Status>& answers,
                    absl::Duration taken);
  void RunQueries(WorkQueue::Batch& batch);
  // Tells those that will not be computed.
  void Dismiss(WorkQueue::Batch& batch, const absl::Status& cut_status);
  ModelStatistics& Statistics(const Teacher& teacher) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Clock* const clock_;
  mutable Mutex mutex_;
  ConditionVariable changed_;
  WorkQueue queue_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, ModelStatistics> statistics_ ABSL_GUARDED_BY(mutex_);
  int busy_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace distillery
