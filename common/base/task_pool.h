// A fixed number of threads that run closures in the order they were given. Keeps blocking work
// (computing, files, fsync) out of gRPC's callback threads.
//
// Threads: safe for all. Add never blocks; its callers bound how much they have in flight.
// The destructor runs what was added, then joins.
#pragma once

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "common/base/mutex.h"

namespace distillery {

class TaskPool {
 public:
  explicit TaskPool(int thread_count);
  ~TaskPool();
  TaskPool(const TaskPool&) = delete;
  TaskPool& operator=(const TaskPool&) = delete;

  void Add(std::function<void()> work);

 private:
  void Run();

  Mutex mutex_;
  ConditionVariable changed_;
  std::deque<std::function<void()>> work_ ABSL_GUARDED_BY(mutex_);
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace distillery
