// Reads soft targets one shard ahead of training, in a thread of its own.
//
// Threads: Next by one thread. The destructor, or Stop, ends reading, also a source that waits for
// an absent teacher; the destructor joins.
#pragma once

#include <atomic>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/bounded_queue.h"
#include "student_worker/teachers/soft_target_source.h"

namespace distillery {

class Prefetcher {
 public:
  // Reads `requests` in order; `source` and `cancel` must outlive this.
  Prefetcher(SoftTargetSource* source, std::vector<ShardRequest> requests,
             const std::atomic<bool>& cancel);
  ~Prefetcher();

  struct Shard {
    std::string teacher_digest;
    SoftTargetRows rows;
  };
  // Ends reading; Next then fails. May be called by any thread.
  void Stop();
  // The next shard, waiting for it if need be.
  absl::StatusOr<Shard> Next();
  // How long Next has waited in all.
  absl::Duration waited() const { return waited_; }

 private:
  BoundedQueue<absl::StatusOr<Shard>> queue_{1};
  absl::Duration waited_;
  std::atomic<bool> stopping_{false};
  // Last: it uses the others.
  std::thread thread_;
};

}  // namespace distillery
