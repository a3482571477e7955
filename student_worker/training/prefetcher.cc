#include "student_worker/training/prefetcher.h"

#include "common/base/clock.h"

namespace distillery {

Prefetcher::Prefetcher(SoftTargetSource* source, std::vector<ShardRequest> requests,
                       const std::atomic<bool>& cancel)
    : thread_([this, source, requests = std::move(requests), &cancel]() mutable {
        const CancelCheck cancelled = [this, &cancel] { return stopping_.load() || cancel.load(); };
        std::string teacher_digest;
        for (ShardRequest& request : requests) {
          if (request.teacher_digest.empty()) request.teacher_digest = teacher_digest;
          Shard shard;
          const absl::Status status = source->ReadShard(&request, cancelled, &shard.rows);
          if (!status.ok()) {
            (void)queue_.Push(status);
            return;
          }
          teacher_digest = request.teacher_digest;
          shard.teacher_digest = teacher_digest;
          if (!queue_.Push(std::move(shard))) return;
        }
      }) {}

void Prefetcher::Stop() {
  stopping_.store(true);
  queue_.Close();
}

Prefetcher::~Prefetcher() {
  Stop();
  thread_.join();
}

absl::StatusOr<Prefetcher::Shard> Prefetcher::Next() {
  const absl::Duration start = SteadyNow();
  std::optional<absl::StatusOr<Shard>> shard = queue_.Pop();
  waited_ += SteadyNow() - start;
  if (!shard.has_value()) return absl::CancelledError("closed");
  return *std::move(shard);
}

}  // namespace distillery
