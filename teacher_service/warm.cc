#include "teacher_service/warm.h"

#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <deque>
#include <future>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "common/base/stop_signal.h"

namespace distillery {
namespace {

// "shards 12/30, 5120 rows/s, 3 s left" now and then: a line that changes, or plain lines.
class Progress {
 public:
  explicit Progress(int64_t total) : total_(total) {}
  void Show(const WarmResult& done) {
    const absl::Duration now = SteadyNow();
    if (now - shown_ < (terminal_ ? absl::Milliseconds(200) : absl::Seconds(5))) return;
    shown_ = now;
    const double seconds = absl::ToDoubleSeconds(now - start_);
    const double left = seconds / static_cast<double>(done.shard_count) *
                        static_cast<double>(total_ - done.shard_count);
    std::fprintf(stderr, "%sshards %lld/%lld, %.0f rows/s, %.0f s left%s",
                 terminal_ ? "\r\033[K" : "", static_cast<long long>(done.shard_count),
                 static_cast<long long>(total_), static_cast<double>(done.row_count) / seconds,
                 left, terminal_ ? "" : "\n");
  }
  ~Progress() {
    if (terminal_ && shown_ > start_) std::fputs("\r\033[K", stderr);
  }

 private:
  const bool terminal_ = isatty(STDERR_FILENO) == 1;
  const int64_t total_;
  const absl::Duration start_ = SteadyNow();
  absl::Duration shown_ = start_;
};

// All rows of one shard, asked for cut by cut.
struct ShardWork {
  std::shared_ptr<ShardLogits> shard;
  std::deque<std::future<absl::StatusOr<LogitRows>>> cuts;
  bool cached = false;
};

ShardWork Ask(std::shared_ptr<ShardLogits> shard, int64_t cut_rows) {
  ShardWork work;
  const auto never = std::make_shared<const std::atomic<bool>>(false);
  for (int64_t row = 0; row < shard->row_count(); row += cut_rows) {
    auto promise = std::make_shared<std::promise<absl::StatusOr<LogitRows>>>();
    work.cuts.push_back(promise->get_future());
    shard->Get(row, never,
               [promise](const absl::StatusOr<LogitRows>& rows) { promise->set_value(rows); });
  }
  work.shard = std::move(shard);
  return work;
}

}  // namespace

absl::StatusOr<WarmResult> WarmCache(TeacherHost& host, const WarmJob& job) {
  if (host.cache() == nullptr) {
    return absl::FailedPreconditionError("there is no cache to fill: give --cache-dir");
  }
  DISTILLERY_ASSIGN_OR_RETURN(const std::shared_ptr<Teacher> teacher,
                              host.ReadyTeacher(job.model_name));
  DISTILLERY_ASSIGN_OR_RETURN(const std::shared_ptr<const Dataset> dataset,
                              host.datasets().Open(job.dataset));
  const int64_t views = job.view.augmentation.identity() ? 1 : job.views;
  const int64_t shards = dataset->shard_count();
  const auto ahead = 2 * static_cast<size_t>(host.options().compute.slots);
  WarmResult result;
  Progress progress(shards * views);
  std::deque<ShardWork> working;
  const auto finish_one = [&]() -> absl::Status {
    ShardWork work = std::move(working.front());
    working.pop_front();
    for (auto& cut : work.cuts) DISTILLERY_RETURN_IF_ERROR(cut.get().status());
    if (!work.shard->in_cache()) {
      return absl::ResourceExhaustedError(
          "the cache did not take a shard: raise --cache-size-gib, or free the disk (see the log)");
    }
    ++result.shard_count;
    if (work.cached) ++result.cached_count;
    result.row_count += work.shard->row_count();
    progress.Show(result);
    return absl::OkStatus();
  };
  for (int64_t item = 0; item < shards * views; ++item) {
    if (StopSignal::Requested()) {
      return absl::CancelledError(absl::StrCat("stopped after ", result.shard_count, " of ",
                                               shards * views,
                                               " shards; the same command goes on from there"));
    }
    View view = job.view;
    view.view += item / shards;
    DISTILLERY_ASSIGN_OR_RETURN(std::shared_ptr<ShardLogits> shard,
                                host.logits().Open(teacher, dataset, item % shards, view));
    const bool cached = shard->in_cache();
    working.push_back(Ask(std::move(shard), cached ? dataset->size() : teacher->info().batch_rows));
    working.back().cached = cached;
    if (working.size() > ahead) DISTILLERY_RETURN_IF_ERROR(finish_one());
  }
  while (!working.empty()) DISTILLERY_RETURN_IF_ERROR(finish_one());
  return result;
}

}  // namespace distillery
