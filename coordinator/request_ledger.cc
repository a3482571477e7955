#include "coordinator/request_ledger.h"

#include "absl/strings/str_cat.h"
#include "common/base/names.h"

namespace distillery {

absl::StatusOr<bool> RequestLedger::Repeats(const std::string& request_id,
                                            const std::string& digest) const {
  MutexLock lock(mutex_);
  const auto found = digests_.find(request_id);
  if (found == digests_.end()) return false;
  if (found->second != digest) return OtherRequest(request_id);
  return true;
}

void RequestLedger::Note(const std::string& request_id, const std::string& digest) {
  MutexLock lock(mutex_);
  if (!digests_.emplace(request_id, digest).second) return;
  order_.push_back(request_id);
  if (order_.size() <= kMost) return;
  digests_.erase(order_.front());
  order_.pop_front();
}

absl::Status RequestLedger::OtherRequest(const std::string& request_id) {
  return absl::InvalidArgumentError(absl::StrCat(
      "request_id \"", Printable(request_id), "\" was used for another request: take a new one"));
}

}  // namespace distillery
