// The same work for many numbers, on all cores.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <thread>

#include "common/base/task_pool.h"

namespace distillery {

// Runs work(0) to work(count - 1), several at the same time, and returns when all are done.
inline void OnAllCores(size_t count, const std::function<void(size_t)>& work) {
  TaskPool cores(static_cast<int>(std::max(1U, std::thread::hardware_concurrency())));
  for (size_t i = 0; i < count; ++i) cores.Add([&work, i] { work(i); });
}

}  // namespace distillery
