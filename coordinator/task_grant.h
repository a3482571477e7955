// What a worker that asks for a task is answered.
#pragma once

#include <optional>
#include <string>

#include "common/run/run_spec.h"
#include "common/run/task.h"

namespace distillery {

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

  bool empty() const { return !grant.has_value() && wanted_numerics.empty(); }
};

}  // namespace distillery
