// Uploads whose stream broke off, kept for a minute so that the next stream need not send again
// what was received.
//
// Threads: safe for all.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "coordinator/upload/upload.h"

namespace distillery {

class ParkedUploads {
 public:
  explicit ParkedUploads(Clock* clock) : clock_(clock) {}

  // The most that one owner keeps, and all together. Each has an open file and up to a model of
  // disk.
  static constexpr size_t kMostOfOwner = 4;
  static constexpr size_t kMost = 64;

  // Keeps the upload of this caller under its request_id, in place of one that is there. `owner`,
  // such as a lease, is whom the limits count. Where there are too many, the owner that has the
  // most loses its oldest, this one before others that have as many: nobody loses what it keeps to
  // one who keeps more.
  void Park(const std::string& caller, const std::string& owner, std::unique_ptr<Upload> upload);
  // Null, and nothing is taken, if there is none of the caller with this identity.
  std::unique_ptr<Upload> Take(const std::string& caller, const std::string& request_id,
                               const std::string& identity);
  // 0 if there is none of the caller.
  int64_t ReceivedBytes(const std::string& caller, const std::string& request_id);
  // Those that were kept for long enough, or that nobody will take; their files go too.
  void DropUnwanted();

 private:
  struct Parked {
    std::unique_ptr<Upload> upload;
    std::string owner;
    absl::Duration until;
  };
  void DropOverdue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  size_t CountOf(const std::string& owner) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropOldestOf(const std::string& owner) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Clock* const clock_;
  Mutex mutex_;
  // By caller and request_id.
  std::map<std::pair<std::string, std::string>, Parked> parked_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace distillery
