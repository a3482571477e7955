// The task that log lines are about, see LogFields.
#pragma once

#include <vector>

#include "common/base/logging.h"
#include "common/run/task.h"

namespace distillery {

inline std::vector<LogField> TaskLogFields(const TaskId& task) {
  return {{"run", task.run_id},
          {"kind", std::string(TaskKindName(task.kind))},
          {"round", task.round},
          {"replica", task.replica}};
}

}  // namespace distillery
