// What clients are shown of a lease; see LeaseRecord in coordinator_service.proto.
#pragma once

#include <optional>
#include <string>

#include "coordinator/state/record.h"

namespace distillery {

// Who held a task when, and what came of it.
struct LeaseView {
  LeaseRow row;
  // Name of its worker.
  std::string worker_name;
  // The figures of a training task, if its result was taken under this lease.
  std::optional<TrainMetrics> metrics;
};

}  // namespace distillery
