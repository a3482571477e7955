#include "common/rpc/call_quota.h"

#include <iterator>

#include "absl/strings/str_cat.h"

namespace distillery {
namespace {

constexpr absl::Duration kLongestWait = absl::Minutes(1);
constexpr absl::Duration kExpiryPeriod = absl::Seconds(5);

}  // namespace

absl::Status CallQuota::Enter(const std::string& connection) {
  MutexLock lock(mutex_);
  Expire();
  const auto found = calls_.find(connection);
  const int64_t mine = found == calls_.end() ? 0 : found->second.count();
  if (mine >= options_.per_connection) {
    ++statistics_.refused_count;
    return absl::ResourceExhaustedError(absl::StrCat("this connection has ", mine,
                                                     " calls under way, those cancelled lately "
                                                     "included, and may have ",
                                                     options_.per_connection,
                                                     "; let some end first"));
  }
  if (statistics_.live_count >= options_.total && mine >= options_.share) {
    ++statistics_.refused_count;
    return absl::ResourceExhaustedError(
        absl::StrCat("the server has ", statistics_.live_count, " calls under way and takes ",
                     options_.total, "; this connection has ", mine, " of them and may have ",
                     options_.share, " meanwhile: let some end first"));
  }
  calls_[connection].waiting.push_back(clock_->SteadyNow());
  ++statistics_.live_count;
  return absl::OkStatus();
}

void CallQuota::Begin(const std::string& connection) {
  MutexLock lock(mutex_);
  Calls& calls = calls_[connection];
  if (calls.waiting.empty()) {
    ++statistics_.live_count;  // it had waited so long that it was forgotten
  } else {
    calls.waiting.pop_back();
  }
  ++calls.begun;
}

void CallQuota::Leave(const std::string& connection) {
  MutexLock lock(mutex_);
  const auto found = calls_.find(connection);
  if (found == calls_.end() || found->second.begun == 0) return;
  --found->second.begun;
  --statistics_.live_count;
  if (found->second.count() == 0) calls_.erase(found);
}

void CallQuota::Expire() {
  const absl::Duration now = clock_->SteadyNow();
  if (now < next_expiry_) return;
  next_expiry_ = now + kExpiryPeriod;
  for (auto it = calls_.begin(); it != calls_.end();) {
    std::deque<absl::Duration>& waiting = it->second.waiting;
    while (!waiting.empty() && now - waiting.front() > kLongestWait) {
      waiting.pop_front();
      --statistics_.live_count;
    }
    it = it->second.count() == 0 ? calls_.erase(it) : std::next(it);
  }
}

CallQuota::Statistics CallQuota::statistics() const {
  MutexLock lock(mutex_);
  return statistics_;
}

}  // namespace distillery
