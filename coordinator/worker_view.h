// What clients are shown of a worker; see Worker in coordinator_service.proto.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "coordinator/state/record.h"

namespace distillery {

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

}  // namespace distillery
