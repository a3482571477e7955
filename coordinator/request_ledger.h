// Knows for which request each request_id was used, so that a retry has no second effect and an id
// is not used for something else. Only the newest ids are kept: a retry comes within minutes.
//
// Threads: safe for all.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/mutex.h"

namespace distillery {

class RequestLedger {
 public:
  static constexpr size_t kMost = 16384;

  // Whether the request was answered before; INVALID_ARGUMENT if its id was used for another one.
  // `digest`: of the rpc's name and everything in the request.
  absl::StatusOr<bool> Repeats(const std::string& request_id, const std::string& digest) const;
  // Notes that the request was answered with OK.
  void Note(const std::string& request_id, const std::string& digest);

  static absl::Status OtherRequest(const std::string& request_id);

 private:
  mutable Mutex mutex_;
  std::map<std::string, std::string> digests_ ABSL_GUARDED_BY(mutex_);
  // Oldest first.
  std::deque<std::string> order_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace distillery
