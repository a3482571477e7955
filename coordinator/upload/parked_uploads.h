// Uploads whose stream broke off, kept for a minute so that the next stream need not send again
// what was received.
//
// Threads: safe for all.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

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
  static constexpr int64_t kMostOfOwner = 4;
  static constexpr int64_t kMost = 64;

  // Keeps the upload of this caller under its request_id, in place of one that is there. `owner`,
  // such as a lease, is whom the limits count. Where there are too many, the owner that has the
  // most loses its oldest; of owners that have as many one of the caller that has the most, and
  // else this one: nobody loses what it keeps to one who keeps more.
  void Park(const std::string& caller, const std::string& owner, std::unique_ptr<Upload> upload);
  // Null if there is none of the caller with this identity. One of another identity, which the
  // caller no longer sends, goes: ReceivedBytes must not promise it.
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
  // By caller and request_id.
  using Entries = std::map<std::pair<std::string, std::string>, Parked>;
  // What goes: destroyed, which removes its file, where nobody holds the mutex.
  using Gone = std::vector<std::unique_ptr<Upload>>;
  Entries::iterator Drop(Entries::iterator entry, Gone* gone) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropOverdue(Gone* gone) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropOldestOf(const std::string& owner, Gone* gone) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // How many the owner has, then the caller.
  std::pair<int64_t, int64_t> CountOf(const std::string& owner, const std::string& caller) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Clock* const clock_;
  Mutex mutex_;
  Entries parked_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace distillery
