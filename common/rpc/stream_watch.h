// Ends the streams whose clients do nothing: they neither read what was sent nor send what they
// announced, and hold memory, files and places meanwhile.
//
// Threads: safe for all. One of its own looks each second.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <thread>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"

namespace distillery {

// A stream that is open.
class WatchedStream {
 public:
  virtual ~WatchedStream() = default;
  // Ends it if its client has done nothing for `limit`, or if nobody wants it any more. Holds up
  // other streams' looks, but not their beginnings and ends. Must not block for the network or the
  // disk.
  virtual void EndIfIdle(absl::Duration now, absl::Duration limit) = 0;
};

class StreamWatch {
 public:
  // `also`, unless it is null, is called at each look.
  StreamWatch(Clock* clock, absl::Duration idle_limit, std::function<void()> also = nullptr);
  // No stream may be left.
  ~StreamWatch();
  StreamWatch(const StreamWatch&) = delete;
  StreamWatch& operator=(const StreamWatch&) = delete;

  void Add(WatchedStream* stream);
  // Waits until it is not being looked at, unless it is this thread that looks.
  void Remove(WatchedStream* stream);
  // Looks at once; for tests with another clock.
  void EndIdle();
  Clock* clock() const { return clock_; }

 private:
  void Run();

  Clock* const clock_;
  const absl::Duration idle_limit_;
  const std::function<void()> also_;
  // One look at a time; taken before mutex_.
  Mutex look_mutex_;
  Mutex mutex_;
  ConditionVariable changed_;
  std::set<WatchedStream*> streams_ ABSL_GUARDED_BY(mutex_);
  // Being looked at, by this thread.
  WatchedStream* looked_at_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::thread::id looker_ ABSL_GUARDED_BY(mutex_);
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

// Since when one stream waits for its client. Threads: none.
class ClientWait {
 public:
  void Begin(absl::Duration now) { since_ = now; }
  void End() { since_ = absl::InfiniteDuration(); }
  absl::Duration since() const { return since_; }
  bool waiting() const { return since_ != absl::InfiniteDuration(); }
  bool Longer(absl::Duration now, absl::Duration limit) const {
    return waiting() && now - since_ >= limit;
  }

 private:
  absl::Duration since_ = absl::InfiniteDuration();
};

// RESOURCE_EXHAUSTED's words: "WHAT for 1m (--stream-idle-seconds)"; logs them as well, since the
// client may only see that its call was cancelled.
std::string NoteIdle(const std::string& what, absl::Duration limit, const std::string& client);

}  // namespace distillery
