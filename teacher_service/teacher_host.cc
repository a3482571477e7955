#include "teacher_service/teacher_host.h"

#include <utility>

#include "common/base/status_macros.h"

namespace distillery {

absl::StatusOr<std::unique_ptr<TeacherHost>> TeacherHost::Create(const Options& options,
                                                                 Clock* clock) {
  std::unique_ptr<LogitCache> cache;
  if (!options.cache.folder.empty()) {
    DISTILLERY_ASSIGN_OR_RETURN(cache, LogitCache::Open(options.cache));
  }
  return std::unique_ptr<TeacherHost>(new TeacherHost(options, std::move(cache), clock));
}

TeacherHost::TeacherHost(const Options& options, std::unique_ptr<LogitCache> cache, Clock* clock)
    : options_(options),
      cache_(std::move(cache)),
      datasets_(options.data_dir),
      scheduler_(options.compute, clock),
      logits_(options.logits, &scheduler_, cache_.get()) {}

absl::StatusOr<std::shared_ptr<Teacher>> TeacherHost::ReadyTeacher(
    const std::string& model_name) const {
  if (draining()) return absl::UnavailableError("the teacher is draining");
  return models_.Find(model_name);
}

void TeacherHost::Close() {
  Drain();
  scheduler_.Close();
}

}  // namespace distillery
