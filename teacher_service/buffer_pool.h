// Buffers for messages on their way: used again, since fresh pages cost as much as what is written
// into them.
//
// Threads: safe for all. Buffers may outlive the pool.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "common/base/mutex.h"

namespace distillery {

class BufferPool {
 public:
  // Keeps at most `max_free` unused buffers of up to `buffer_bytes`.
  BufferPool(int64_t buffer_bytes, size_t max_free)
      : state_(std::make_shared<State>(buffer_bytes, max_free)) {}

  // `bytes` of uninitialised memory, which goes back to the pool when the last holder lets go.
  std::shared_ptr<char> Take(int64_t bytes) {
    if (bytes > state_->buffer_bytes) return {new char[static_cast<size_t>(bytes)], Delete};
    std::unique_ptr<char[]> buffer;
    {
      MutexLock lock(state_->mutex);
      if (!state_->free.empty()) {
        buffer = std::move(state_->free.back());
        state_->free.pop_back();
      }
    }
    if (buffer == nullptr) buffer.reset(new char[static_cast<size_t>(state_->buffer_bytes)]);
    return {buffer.release(), [state = state_](char* used) {
              std::unique_ptr<char[]> owned(used);
              MutexLock lock(state->mutex);
              if (state->free.size() < state->max_free) state->free.push_back(std::move(owned));
            }};
  }

 private:
  struct State {
    State(int64_t bytes, size_t most) : buffer_bytes(bytes), max_free(most) {}
    const int64_t buffer_bytes;
    const size_t max_free;
    Mutex mutex;
    std::vector<std::unique_ptr<char[]>> free ABSL_GUARDED_BY(mutex);
  };
  static void Delete(const char* bytes) { delete[] bytes; }

  const std::shared_ptr<State> state_;
};

}  // namespace distillery
