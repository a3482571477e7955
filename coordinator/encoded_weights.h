// Weights in the encoding in which they are sent (common/weights/broadcast_encoding.h), made once per
// round and kept beside them; may be lost at any time.
//
// Threads: safe for all. Make blocks for the disk.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/mutex.h"

namespace distillery {

class EncodedWeights {
 public:
  // Makes the float16 file of `weights` at `path`, by way of `temporary`, unless it made it before.
  // Returns its SHA-256. Errors of the disk; INVALID_ARGUMENT as EncodeFloat16.
  absl::StatusOr<std::string> Make(absl::string_view weights,
                                   const std::vector<std::string>& buffers,
                                   const std::string& path, const std::string& temporary);

 private:
  Mutex mutex_;
  // SHA-256 of the files made since the start, by path: what an earlier process made is made again
  // rather than read and believed.
  std::map<std::string, std::string> made_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace distillery
