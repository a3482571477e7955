#include "common/base/memory_trimmer.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "absl/time/time.h"

namespace distillery {
namespace {

constexpr absl::Duration kPeriod = absl::Seconds(5);

HeapFigures Figures() {
  std::ifstream statm("/proc/self/statm");
  int64_t all = 0;
  int64_t resident = 0;
  int64_t of_files = 0;
  statm >> all >> resident >> of_files;
  const struct mallinfo2 heap = mallinfo2();
  return {.free = static_cast<int64_t>(heap.fordblks),
          .used = static_cast<int64_t>(heap.uordblks + heap.hblkhd),
          .resident = (resident - of_files) * sysconf(_SC_PAGESIZE)};
}

}  // namespace

bool TrimDecision::Worthwhile(const HeapFigures& figures) {
  const int64_t excess = Excess(figures);
  least_excess_ = std::min(least_excess_.value_or(excess), excess);
  // Free at both looks: not only between two allocations.
  const bool idle = std::min(figures.free, last_free_) > kKeptBytes;
  last_free_ = figures.free;
  return idle && excess - *least_excess_ > kKeptBytes;
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
    if (!decision.Worthwhile(Figures())) continue;
    malloc_trim(0);
    decision.Trimmed(Figures());
  }
}

}  // namespace distillery
