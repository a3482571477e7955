// Fills the cache ahead: all shards and views of a data set under one teacher.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "common/data/augmentation.h"
#include "common/data/dataset.h"
#include "teacher_service/teacher_host.h"

namespace distillery {

struct WarmJob {
  // "" is the first.
  std::string model_name;
  DatasetReference dataset;
  // Its view is the first of `views`.
  View view;
  int64_t views = 1;
};

struct WarmResult {
  int64_t shard_count = 0;
  // Shards that were in the cache already.
  int64_t cached_count = 0;
  int64_t row_count = 0;
};

// Computes what is not cached yet; several shards at once, so that all compute slots have work.
// Shows progress on standard error. CANCELLED when told to stop (StopSignal): the same call goes on
// from there. FAILED_PRECONDITION without a cache; RESOURCE_EXHAUSTED if the cache did not take a
// shard.
absl::StatusOr<WarmResult> WarmCache(TeacherHost& host, const WarmJob& job);

}  // namespace distillery
