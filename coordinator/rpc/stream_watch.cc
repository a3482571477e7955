#include "coordinator/rpc/stream_watch.h"

#include <utility>

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
}

void StreamWatch::EndIdle() {
  {
    const absl::Duration now = clock_->SteadyNow();
    MutexLock lock(mutex_);
    for (WatchedStream* const stream : streams_) stream->EndIfIdle(now, idle_limit_);
  }
  also_();
}

void StreamWatch::Run() {
  while (true) {
    {
      MutexLock lock(mutex_);
      if (!closing_) changed_.WaitFor(mutex_, absl::Seconds(1));
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
