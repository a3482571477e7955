// Where the coordinator stands now, in numbers.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "common/run/task.h"
#include "coordinator/state/record.h"

namespace distillery {

enum class TaskState { kFree, kLeased, kDone };

struct Gauges {
  std::map<RunState, int64_t> runs;
  // The tasks of runs that have not ended.
  std::map<std::pair<TaskKind, TaskState>, int64_t> tasks;
  int64_t active_leases = 0;
  int64_t live_workers = 0;
  int64_t known_workers = 0;
  int64_t waiting_workers = 0;
  int64_t watchers = 0;
  bool disk_full = false;
  // -1: the file system does not say.
  int64_t free_bytes = -1;
};

}  // namespace distillery
