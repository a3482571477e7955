// Uploads whose stream broke off, kept for a minute so that the next stream need not send again
// what was received.
//
// Threads: safe for all.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "coordinator/upload/upload.h"

namespace distillery {

class ParkedUploads {
 public:
  explicit ParkedUploads(Clock* clock) : clock_(clock) {}

  // Keeps the upload under its request_id, in place of one that is there. The one that is closest
  // to its end is dropped when there are too many.
  void Park(std::unique_ptr<Upload> upload);
  // Null if there is none.
  std::unique_ptr<Upload> Take(const std::string& request_id);
  // 0 if there is none.
  int64_t ReceivedBytes(const std::string& request_id);
  // Those that were kept for long enough, or that nobody will take; their files go too.
  void DropUnwanted();

 private:
  struct Parked {
    std::unique_ptr<Upload> upload;
    absl::Duration until;
  };
  void DropOverdue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Clock* const clock_;
  Mutex mutex_;
  std::map<std::string, Parked> parked_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace distillery
