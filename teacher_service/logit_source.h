// Raw logits of shards, each cut computed once however many streams ask for it: from the cache on
// disk, from what was computed lately, or from the teacher.
//
// Cuts are the teacher's batch_rows from the start of a shard, so a row's bits depend neither on
// where a stream resumes nor on who else asks. Memory is bounded: cuts computed lately are dropped,
// oldest first, beyond `memory_bytes`; streams hold only what they asked for.
//
// Threads: safe for all. Open may block on files; GetCut never blocks. Callbacks run on compute
// threads, or at once.
#pragma once

#include <algorithm>
#include <atomic>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/data/augmentation.h"
#include "common/data/dataset.h"
#include "teacher_service/cache/logit_cache.h"
#include "teacher_service/compute_scheduler.h"
#include "teacher_service/teachers/teacher.h"

namespace distillery {

// Consecutive rows of a shard's raw logits, row-major, float32, or float16 if `half`.
struct LogitRows {
  // Keeps `data` alive.
  std::shared_ptr<const void> owner;
  const char* data = nullptr;
  // Set: the rows are to be read from here, which may block; `data` is null.
  std::shared_ptr<const CachedLogits> file;
  int64_t first_row = 0;
  int64_t rows = 0;
  bool half = false;
  // CRC-32C of these rows' bytes, where they were read from a file.
  std::optional<uint32_t> crc32c;
};

class ShardLogits;

class LogitSource {
 public:
  struct Options {
    // What cuts computed lately may take.
    int64_t memory_bytes = int64_t{256} << 20;
  };
  // `cache` may be null. Both must outlive this.
  LogitSource(const Options& options, ComputeScheduler* scheduler, LogitCache* cache);

  // FAILED_PRECONDITION if the data does not fit the teacher; NOT_FOUND for the shard. `discard`:
  // what is kept of the shard, on disk and in memory, is dropped, and computed anew.
  absl::StatusOr<std::shared_ptr<ShardLogits>> Open(std::shared_ptr<Teacher> teacher,
                                                    std::shared_ptr<const Dataset> dataset,
                                                    int64_t shard, const View& view,
                                                    bool discard = false);

  // Bytes of cuts that are held.
  int64_t memory_bytes() const;
  // Cuts given from memory, and cuts that more than one stream waited for.
  int64_t memory_hit_count() const;
  int64_t shared_count() const;

 private:
  friend class ShardLogits;
  // The logits of one cut, [rows, positions..., classes].
  using Logits = std::shared_ptr<const std::vector<float>>;
  struct Waiter {
    int64_t row = 0;
    std::shared_ptr<const std::atomic<bool>> cancelled;
    std::function<void(const absl::StatusOr<LogitRows>&)> done;
  };
  struct Held {
    std::shared_ptr<ShardLogits> shard;
    int64_t cut = 0;
    int64_t bytes = 0;
  };
  // Computing until it has logits.
  struct Cut {
    Logits logits;
    std::vector<Waiter> waiters;
    std::list<Held>::iterator held;
  };
  // Starts to collect the shard for the cache. Blocks on files.
  void StartStoring(const std::shared_ptr<ShardLogits>& shard);
  void Leave(const std::shared_ptr<ShardLogits>& shard);
  void Hold(const std::shared_ptr<ShardLogits>& shard, int64_t cut, Cut& entry)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Release(ShardLogits& shard) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  ComputeScheduler* const scheduler_;
  LogitCache* const cache_;
  mutable Mutex mutex_;
  std::map<std::string, std::weak_ptr<ShardLogits>> open_ ABSL_GUARDED_BY(mutex_);
  // Cuts computed lately, oldest first.
  std::list<Held> held_ ABSL_GUARDED_BY(mutex_);
  int64_t held_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t memory_hits_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t shared_ ABSL_GUARDED_BY(mutex_) = 0;
};

// One view of one shard under one teacher, shared by all streams that read it.
class ShardLogits : public std::enable_shared_from_this<ShardLogits> {
 public:
  using Done = std::function<void(const absl::StatusOr<LogitRows>&)>;

  int64_t row_count() const { return range_.count; }
  // Numbers of a row: of each position as many as there are classes.
  int64_t row_values() const { return file_.classes; }
  // Whether all rows come from the cache on disk.
  bool in_cache() const;

  // Gives rows from `row` on: to the end of its cut, or, from a cache file, to the end of the
  // shard. `done` is called once; with CANCELLED if *cancelled became true before the device took
  // the cut and no other stream waits for it; with INTERNAL if the model did not answer one of the
  // rows from `row` on with finite numbers. Who asks only for rows behind that one does not get the
  // error. REQUIRES: 0 <= row < row_count().
  void Get(int64_t row, std::shared_ptr<const std::atomic<bool>> cancelled, Done done);

  // `file`, which Get gave, could not be read: it is removed from the cache, and Get gives what the
  // teacher computes, with the same bits. Blocks on files.
  void Drop(const CachedLogits& file, const absl::Status& reason);

 private:
  friend class LogitSource;
  using Logits = LogitSource::Logits;
  using Waiter = LogitSource::Waiter;
  using Cut = LogitSource::Cut;
  ShardLogits(LogitSource* source, std::shared_ptr<Teacher> teacher,
              std::shared_ptr<const Dataset> dataset, RowRange range, View view, LogitFileSpec file)
      : source_(source),
        teacher_(std::move(teacher)),
        dataset_(std::move(dataset)),
        range_(range),
        view_(std::move(view)),
        file_(std::move(file)) {}
  // For the analysis: whoever holds the mutex of the source holds it.
  void AssertMutexHeld() const ABSL_ASSERT_EXCLUSIVE_LOCK(source_->mutex_) {}
  int64_t cut_rows() const { return teacher_->info().batch_rows; }
  int64_t RowsOfCut(int64_t cut) const {
    return std::min(cut_rows(), range_.count - cut * cut_rows());
  }
  void Schedule(int64_t cut);
  // True if every stream that waits for the cut is cancelled.
  bool Unwanted(int64_t cut);
  // On a compute thread.
  void Finish(int64_t cut, const absl::Status& dropped);
  absl::StatusOr<Logits> Compute(int64_t cut) const;
  // Writes a cut to the cache file that is being made, if there is one. If a row of the cut is not
  // finite, the file is given up, since what is stored is served to everybody for a long time.
  void Store(int64_t cut, const std::vector<float>& logits, bool finite);
  absl::StatusOr<LogitRows> Part(int64_t cut, Logits logits, int64_t row) const;

  LogitSource* const source_;
  const std::shared_ptr<Teacher> teacher_;
  const std::shared_ptr<const Dataset> dataset_;
  const RowRange range_;
  const View view_;
  const LogitFileSpec file_;
  int64_t readers_ ABSL_GUARDED_BY(source_->mutex_) = 0;
  std::map<int64_t, Cut> cuts_ ABSL_GUARDED_BY(source_->mutex_);
  // The whole shard, once it is in the cache.
  std::shared_ptr<const CachedLogits> cached_ ABSL_GUARDED_BY(source_->mutex_);
  // While it is not and somebody reads.
  std::shared_ptr<LogitCache::Writer> writer_ ABSL_GUARDED_BY(source_->mutex_);
  // Cuts given to the writer, and how many it has taken.
  std::set<int64_t> stored_ ABSL_GUARDED_BY(source_->mutex_);
  int64_t added_ ABSL_GUARDED_BY(source_->mutex_) = 0;
};

}  // namespace distillery
