// What work costs this thread: other threads and processes of the machine do not count, as they
// would by a clock.
#pragma once

#include <algorithm>
#include <ctime>
#include <limits>

namespace distillery {

// Processor time, in seconds, of the cheapest of `times` calls.
template <typename Work>
double CpuSeconds(int times, const Work& work) {
  const auto now = [] {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  };
  double least = std::numeric_limits<double>::max();
  for (int time = 0; time < times; ++time) {
    const double start = now();
    work();
    least = std::min(least, now() - start);
  }
  return least;
}

}  // namespace distillery
