// A bounded, closable first-in first-out queue: the only pipe between threads.
//
// Threads: safe for any number of producers and consumers. Push blocks while the queue is full, Pop
// while it is empty. After Close, Push fails at once and Pop drains what is left, then fails.
//
//   BoundedQueue<int> queue(2);
//   queue.Push(7);
//   while (std::optional<int> item = queue.Pop()) Use(*item);
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <utility>

#include "common/base/mutex.h"

namespace distillery {

template <typename T>
class BoundedQueue {
 public:
  // REQUIRES: capacity > 0.
  explicit BoundedQueue(size_t capacity) : capacity_(capacity) {}

  // False if the queue was closed; the item is then dropped.
  [[nodiscard]] bool Push(T item) {
    MutexLock lock(mutex_);
    while (!closed_ && items_.size() >= capacity_) changed_.Wait(mutex_);
    if (closed_) return false;
    items_.push_back(std::move(item));
    changed_.NotifyAll();
    return true;
  }

  // Empty once the queue is closed and drained.
  [[nodiscard]] std::optional<T> Pop() {
    MutexLock lock(mutex_);
    while (!closed_ && items_.empty()) changed_.Wait(mutex_);
    if (items_.empty()) return std::nullopt;
    std::optional<T> item(std::move(items_.front()));
    items_.pop_front();
    changed_.NotifyAll();
    return item;
  }

  // True if Pop would return without blocking.
  bool Ready() {
    MutexLock lock(mutex_);
    return closed_ || !items_.empty();
  }

  void Close() {
    MutexLock lock(mutex_);
    closed_ = true;
    changed_.NotifyAll();
  }

 private:
  const size_t capacity_;
  Mutex mutex_;
  ConditionVariable changed_;
  std::deque<T> items_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace distillery
