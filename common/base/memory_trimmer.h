// Gives free memory back to the system. The C library keeps what was freed for the next allocation,
// and after a flood that may be a gigabyte that nobody ever needs again.
//
// A thread of its own looks every few seconds.
#pragma once

#include <cstdint>
#include <thread>

#include "common/base/mutex.h"

namespace distillery {

// When it is worth while. Threads: none.
class TrimDecision {
 public:
  // So many bytes are left to the next allocations.
  static constexpr int64_t kKeptBytes = int64_t{32} << 20;

  // `free_bytes` of the heap are free and `resident_bytes` of the process in memory. Free memory
  // may have been given back already, so it counts only if more is resident than after the last
  // time.
  bool Worthwhile(int64_t free_bytes, int64_t resident_bytes);
  void Trimmed(int64_t resident_bytes) { least_ = resident_bytes; }

 private:
  int64_t last_free_ = 0;
  // Resident after the last time, or at the least since; -1: not known.
  int64_t least_ = -1;
};

class MemoryTrimmer {
 public:
  MemoryTrimmer();
  ~MemoryTrimmer();
  MemoryTrimmer(const MemoryTrimmer&) = delete;
  MemoryTrimmer& operator=(const MemoryTrimmer&) = delete;

 private:
  void Run();

  Mutex mutex_;
  ConditionVariable changed_;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace distillery
