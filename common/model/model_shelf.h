// Model files found by their SHA-256 in a folder: how a worker holds students that are no built-in
// architecture. Model files never travel over the network.
//
// Threads: safe for all. Find reads each file once and remembers its digest while size and
// modification time stay the same.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "common/base/mutex.h"

namespace distillery {

class ModelShelf {
 public:
  // A folder of .pt files, or one file; empty: nothing is there.
  explicit ModelShelf(std::string path) : path_(std::move(path)) {}

  // The path of the file. FAILED_PRECONDITION if there is none, saying what to do.
  absl::StatusOr<std::string> Find(const std::string& digest);

 private:
  struct Known {
    int64_t size = 0;
    int64_t modified = 0;
    std::string digest;
  };
  // "" if the file cannot be read.
  std::string DigestOf(const std::string& file) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string path_;
  Mutex mutex_;
  std::map<std::string, Known> known_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace distillery
