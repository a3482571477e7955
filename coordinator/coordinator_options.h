// How a coordinator is to be run.
#pragma once

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "coordinator/disk_watch.h"

namespace distillery {

struct CoordinatorOptions {
  std::string state_dir;
  absl::Duration lease_duration = absl::Seconds(30);
  // A run pauses when one of its tasks has failed on so many workers, or so often where there are
  // fewer.
  int64_t max_task_failures = 3;
  // A run pauses when so many leases of one of its tasks have ended without a word from the worker,
  // or without progress. In a fleet whose workers are killed at random a task is lost so often only
  // if nearly all leases are.
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

}  // namespace distillery
