#include "common/base/memory_trimmer.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "absl/time/time.h"

namespace distillery {
namespace {

constexpr absl::Duration kPeriod = absl::Seconds(5);

int64_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t all = 0;
  int64_t resident = 0;
  statm >> all >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

}  // namespace

bool TrimDecision::Worthwhile(int64_t free_bytes, int64_t resident_bytes) {
  least_ = least_ < 0 ? resident_bytes : std::min(least_, resident_bytes);
  // Free at both looks: not only between two allocations.
  const bool idle = std::min(free_bytes, last_free_) > kKeptBytes;
  last_free_ = free_bytes;
  return idle && resident_bytes - least_ > kKeptBytes;
}

MemoryTrimmer::MemoryTrimmer() : thread_([this] { Run(); }) {}

MemoryTrimmer::~MemoryTrimmer() {
  {
    MutexLock lock(mutex_);
    closing_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

void MemoryTrimmer::Run() {
  TrimDecision decision;
  while (true) {
    {
      MutexLock lock(mutex_);
      if (!closing_) changed_.WaitFor(mutex_, kPeriod);
      if (closing_) return;
    }
    const auto free_bytes = static_cast<int64_t>(mallinfo2().fordblks);
    if (!decision.Worthwhile(free_bytes, ResidentBytes())) continue;
    malloc_trim(0);
    decision.Trimmed(ResidentBytes());
  }
}

}  // namespace distillery
