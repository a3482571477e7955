#include "common/rpc/stream_watch.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/logging.h"
#include "common/base/names.h"

namespace distillery {

StreamWatch::StreamWatch(Clock* clock, absl::Duration idle_limit, std::function<void()> also)
    : clock_(clock), idle_limit_(idle_limit), also_(std::move(also)), thread_([this] { Run(); }) {}

StreamWatch::~StreamWatch() {
  {
    MutexLock lock(mutex_);
    closing_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

void StreamWatch::Add(WatchedStream* stream) {
  MutexLock lock(mutex_);
  streams_.insert(stream);
}

void StreamWatch::Remove(WatchedStream* stream) {
  MutexLock lock(mutex_);
  streams_.erase(stream);
  while (looked_at_ == stream && looker_ != std::this_thread::get_id()) changed_.Wait(mutex_);
}

void StreamWatch::EndIdle() {
  const MutexLock look(look_mutex_);
  const absl::Duration now = clock_->SteadyNow();
  std::vector<WatchedStream*> streams;
  {
    MutexLock lock(mutex_);
    streams.assign(streams_.begin(), streams_.end());
    looker_ = std::this_thread::get_id();
  }
  for (WatchedStream* const stream : streams) {
    {
      MutexLock lock(mutex_);
      if (streams_.count(stream) == 0) continue;  // it has ended meanwhile
      looked_at_ = stream;
    }
    // Without the lock: it may log, and ask others.
    stream->EndIfIdle(now, idle_limit_);
    MutexLock lock(mutex_);
    looked_at_ = nullptr;
    changed_.NotifyAll();
  }
  if (also_ != nullptr) also_();
}

void StreamWatch::Run() {
  while (true) {
    {
      const absl::Duration until = SteadyNow() + absl::Seconds(1);
      MutexLock lock(mutex_);
      // Others are told of changes as well.
      for (absl::Duration left = absl::Seconds(1); !closing_ && left > absl::ZeroDuration();
           left = until - SteadyNow()) {
        changed_.WaitFor(mutex_, left);
      }
      if (closing_) return;
    }
    EndIdle();
  }
}

std::string NoteIdle(const std::string& what, absl::Duration limit, const std::string& client) {
  std::string message =
      absl::StrCat(what, " for ", absl::FormatDuration(limit), " (--stream-idle-seconds)");
  LogWarning("ended a call of {}: {}", Printable(client), message);
  return message;
}

}  // namespace distillery
