// Gives free memory back to the system. The C library keeps what was freed for the next allocation,
// and after a flood that may be a gigabyte that nobody ever needs again.
//
// A thread of its own looks every few seconds.
#pragma once

#include <cstdint>
#include <optional>
#include <thread>

#include "common/base/mutex.h"

namespace distillery {

// What the C library and the system say of a process's memory, in bytes.
struct HeapFigures {
  int64_t free = 0;      // kept by the C library for the next allocations
  int64_t used = 0;      // allocated
  int64_t resident = 0;  // in memory, without pages of files
};

// When it is worth while. Threads: none.
class TrimDecision {
 public:
  // So many bytes are left to the next allocations.
  static constexpr int64_t kKeptBytes = int64_t{8} << 20;

  // Free memory may have been given back already. What is still in memory is told from how much
  // more is resident than used: of that the least ever seen, or what was left the last time,
  // belongs to stacks and the like. (Resident memory alone does not tell: what was in use the last
  // time and was freed since is in memory all the while.)
  bool Worthwhile(const HeapFigures& figures);
  void Trimmed(const HeapFigures& figures) { least_excess_ = Excess(figures); }

 private:
  static int64_t Excess(const HeapFigures& figures) { return figures.resident - figures.used; }

  int64_t last_free_ = 0;
  std::optional<int64_t> least_excess_;
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
