// What the service's gRPC skins share: models, the device, data sets, logits, and whether it
// drains.
//
// Threads: safe for all.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/data/catalog.h"
#include "teacher_service/cache/logit_cache.h"
#include "teacher_service/compute_scheduler.h"
#include "teacher_service/logit_source.h"
#include "teacher_service/model_registry.h"

namespace distillery {

class TeacherHost {
 public:
  struct Options {
    std::string data_dir;
    ComputeScheduler::Options compute;
    LogitSource::Options logits;
    // Empty folder: no cache on disk.
    LogitCache::Options cache;
  };
  // Errors of the cache folder.
  static absl::StatusOr<std::unique_ptr<TeacherHost>> Create(const Options& options,
                                                             Clock* clock = Clock::Real());
  // Close: what waits for the device uses what goes down after it.
  ~TeacherHost() { Close(); }

  ModelRegistry& models() { return models_; }
  ComputeScheduler& scheduler() { return scheduler_; }
  const ComputeScheduler& scheduler() const { return scheduler_; }
  DatasetCatalog& datasets() { return datasets_; }
  LogitSource& logits() { return logits_; }
  // Null without a cache on disk.
  LogitCache* cache() { return cache_.get(); }
  const Options& options() const { return options_; }

  // The model, "" for the first. UNAVAILABLE while it is loading or the service drains; NOT_FOUND,
  // INVALID_ARGUMENT as ModelRegistry::Find.
  absl::StatusOr<std::shared_ptr<Teacher>> ReadyTeacher(const std::string& model_name) const;

  // From now on new calls get UNAVAILABLE, and streams end so at their next chunk.
  void Drain() { draining_.store(true); }
  bool draining() const { return draining_.load(); }
  // Drain; ends what waits for the device, and joins its threads.
  void Close();

 private:
  TeacherHost(const Options& options, std::unique_ptr<LogitCache> cache, Clock* clock);

  const Options options_;
  const std::unique_ptr<LogitCache> cache_;
  ModelRegistry models_;
  DatasetCatalog datasets_;
  ComputeScheduler scheduler_;
  LogitSource logits_;
  std::atomic<bool> draining_{false};
};

}  // namespace distillery
