// The workers that may join: names of certificates, one a line of a file, which may change at any
// time.
//
// Threads: safe for all. Looks at the file at most once a second. What cannot be read leaves the
// list as it was, and is warned of once.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/base/file_version.h"
#include "common/base/mutex.h"

namespace distillery {

// INVALID_ARGUMENT "line 3: ..." for a line that is no name. '#' begins a comment.
absl::StatusOr<std::set<std::string>> ParseWorkerList(const std::string& text);

class WorkerList {
 public:
  // Errors of reading and of ParseWorkerList, with the file's name.
  static absl::StatusOr<std::unique_ptr<WorkerList>> Open(const std::string& path,
                                                          Clock* clock = Clock::Real());

  // PERMISSION_DENIED says what to add where; names no path, for it goes to the worker.
  absl::Status Check(const std::string& worker);

 private:
  WorkerList(std::string path, Clock* clock) : path_(std::move(path)), clock_(clock) {}
  absl::StatusOr<std::set<std::string>> Read() const;
  void Reload() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string path_;
  Clock* const clock_;
  Mutex mutex_;
  std::set<std::string> workers_ ABSL_GUARDED_BY(mutex_);
  // The version of what was read last, well or not.
  std::optional<FileVersion> version_ ABSL_GUARDED_BY(mutex_);
  absl::Duration looked_at_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace distillery
