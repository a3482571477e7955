// What a soft-target cache knows of the files in its folder, in the order of their last use.
//
// Not thread-safe. It may be behind the folder, where others come and go: a scan sets it right.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "teacher_service/cache/logit_cache_file.h"

namespace distillery {

// A file seen in the folder. Paths are relative to it.
struct FoundLogitFile {
  std::string path;
  int64_t bytes = 0;
  absl::Time used;
};

class LogitCacheIndex {
 public:
  struct Entry {
    int64_t bytes = 0;
    absl::Time used;
    // The version whose crc was right; none of a file that was only seen.
    FileVersion checked;
    // What readers share while there are any.
    std::weak_ptr<const CachedLogits> logits = {};
    // By which reads of the checked version are checked.
    std::shared_ptr<const LogitChecksums> checksums = {};
  };

  // nullptr if unknown; valid until the next change.
  const Entry* Find(const std::string& path) const;
  // Adds or replaces.
  void Put(const std::string& path, Entry entry);
  void Erase(const std::string& path);
  // The path used longest ago. REQUIRES: count() > 0.
  const std::string& Oldest() const { return by_use_.begin()->second; }

  // Call before the folder is listed; Merge gets the number.
  int64_t StartScan() { return ++scan_; }
  // Learns what was found and forgets what was not, except what was put since the scan started.
  void Merge(const std::vector<FoundLogitFile>& found, int64_t scan);

  int64_t bytes() const { return bytes_; }
  int64_t count() const { return static_cast<int64_t>(entries_.size()); }

 private:
  struct Known {
    Entry entry;
    // The last scan that was under way, or found it, when it was put.
    int64_t scan = 0;
  };
  std::map<std::string, Known> entries_;
  std::set<std::pair<absl::Time, std::string>> by_use_;
  int64_t bytes_ = 0;
  int64_t scan_ = 0;
};

}  // namespace distillery
