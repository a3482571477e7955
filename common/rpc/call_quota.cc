#include "common/rpc/call_quota.h"

#include "absl/strings/str_cat.h"

namespace distillery {

absl::Status CallQuota::Enter(const std::string& connection) {
  MutexLock lock(mutex_);
  const auto found = calls_.find(connection);
  const int64_t mine = found == calls_.end() ? 0 : found->second;
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
  ++calls_[connection];
  ++statistics_.live_count;
  return absl::OkStatus();
}

void CallQuota::Leave(const std::string& connection) {
  MutexLock lock(mutex_);
  const auto found = calls_.find(connection);
  if (--found->second == 0) calls_.erase(found);
  --statistics_.live_count;
}

CallQuota::Statistics CallQuota::statistics() const {
  MutexLock lock(mutex_);
  return statistics_;
}

}  // namespace distillery
