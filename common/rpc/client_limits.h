// How much each client has in flight, so that one cannot take all.
//
// Threads: safe for all. A place may outlive the limits.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "common/base/mutex.h"

namespace distillery {

class ClientLimits {
 public:
  // `what` is for messages, such as "streams"; `flag` says what raises the limit. `who` is whom it
  // counts.
  ClientLimits(std::string what, std::string flag, int64_t limit, std::string who = "client")
      : who_(std::move(who)),
        what_(std::move(what)),
        flag_(std::move(flag)),
        state_(std::make_shared<State>(limit)) {}

  // Gives its place back when it dies.
  using Place = std::shared_ptr<void>;
  // RESOURCE_EXHAUSTED if the client has as many as it may.
  absl::StatusOr<Place> Enter(const std::string& client) {
    MutexLock lock(state_->mutex);
    int64_t& count = state_->counts[client];
    if (count >= state_->limit) {
      return absl::ResourceExhaustedError(absl::StrCat("this ", who_, " has ", count, " ", what_,
                                                       " open, at most ", state_->limit, " (",
                                                       flag_, "); end some first"));
    }
    ++count;
    return Place(nullptr, [state = state_, client](std::nullptr_t) {
      MutexLock lock(state->mutex);
      const auto entry = state->counts.find(client);
      if (--entry->second == 0) state->counts.erase(entry);
    });
  }

 private:
  struct State {
    explicit State(int64_t most) : limit(most) {}
    const int64_t limit;
    Mutex mutex;
    std::map<std::string, int64_t> counts ABSL_GUARDED_BY(mutex);
  };
  const std::string who_;
  const std::string what_;
  const std::string flag_;
  const std::shared_ptr<State> state_;
};

}  // namespace distillery
