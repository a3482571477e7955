#include "teacher_service/cache/logit_cache_index.h"

#include <algorithm>

namespace distillery {

const LogitCacheIndex::Entry* LogitCacheIndex::Find(const std::string& path) const {
  const auto known = entries_.find(path);
  return known == entries_.end() ? nullptr : &known->second.entry;
}

void LogitCacheIndex::Put(const std::string& path, Entry entry) {
  Erase(path);
  bytes_ += entry.bytes;
  by_use_.emplace(entry.used, path);
  entries_.emplace(path, Known{std::move(entry), scan_});
}

void LogitCacheIndex::Erase(const std::string& path) {
  const auto known = entries_.find(path);
  if (known == entries_.end()) return;
  bytes_ -= known->second.entry.bytes;
  by_use_.erase({known->second.entry.used, path});
  entries_.erase(known);
}

void LogitCacheIndex::Merge(const std::vector<FoundLogitFile>& found, int64_t scan) {
  for (const FoundLogitFile& file : found) {
    const auto known = entries_.find(file.path);
    if (known == entries_.end()) {
      Put(file.path, {file.bytes, file.used, {}, {}, nullptr});
    } else if (known->second.entry.bytes != file.bytes || known->second.entry.used < file.used) {
      // Another process has written or used it since.
      Entry entry = known->second.entry;
      entry.bytes = file.bytes;
      entry.used = std::max(entry.used, file.used);
      Put(file.path, std::move(entry));
    } else {
      known->second.scan = scan_;
    }
  }
  std::vector<std::string> gone;
  for (const auto& [path, known] : entries_) {
    if (known.scan < scan) gone.push_back(path);
  }
  for (const std::string& path : gone) Erase(path);
}

}  // namespace distillery
