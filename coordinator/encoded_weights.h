// Weights in the encoding in which they are sent (common/weights/broadcast_encoding.h), made once
// per round and kept beside them; may be lost at any time.
//
// Threads: safe for all. Make blocks for the disk, and for another caller who makes the same file;
// those who make others do not wait. Memory: some megabytes for each file that is being made.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/weights/tensor_source.h"

namespace distillery {

class EncodedWeights {
 public:
  // Makes the float16 file of `weights` at `path`, by way of `temporary`, unless it made it before.
  // Returns its SHA-256. Errors of the disk, and as EncodeFloat16.
  absl::StatusOr<std::string> Make(const TensorSource& weights,
                                   const std::vector<std::string>& buffers, const std::string& path,
                                   const std::string& temporary);
  // The file is damaged: the next Make makes it anew.
  void Forget(const std::string& path);

 private:
  struct Entry {
    Mutex mutex;
    // The SHA-256 of the file made since the start, "" before: what an earlier process made is
    // made again rather than read and believed.
    std::string sha256 ABSL_GUARDED_BY(mutex);
  };
  std::shared_ptr<Entry> Find(const std::string& path);

  Mutex mutex_;
  std::map<std::string, std::shared_ptr<Entry>> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace distillery
