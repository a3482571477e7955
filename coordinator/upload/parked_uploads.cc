#include "coordinator/upload/parked_uploads.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace distillery {
namespace {

constexpr absl::Duration kKept = absl::Minutes(1);
// Each has an open file and up to a model of disk.
constexpr size_t kMost = 64;

}  // namespace

void ParkedUploads::Park(std::unique_ptr<Upload> upload) {
  MutexLock lock(mutex_);
  DropOverdue();
  const std::string request_id = upload->request_id();
  parked_[request_id] = {std::move(upload), clock_->SteadyNow() + kKept};
  if (parked_.size() <= kMost) return;
  parked_.erase(std::min_element(parked_.begin(), parked_.end(), [](const auto& a, const auto& b) {
    return a.second.until < b.second.until;
  }));
}

std::unique_ptr<Upload> ParkedUploads::Take(const std::string& request_id) {
  MutexLock lock(mutex_);
  DropOverdue();
  const auto found = parked_.find(request_id);
  if (found == parked_.end()) return nullptr;
  std::unique_ptr<Upload> upload = std::move(found->second.upload);
  parked_.erase(found);
  return upload;
}

int64_t ParkedUploads::ReceivedBytes(const std::string& request_id) {
  MutexLock lock(mutex_);
  DropOverdue();
  const auto found = parked_.find(request_id);
  return found == parked_.end() ? 0 : found->second.upload->received_bytes();
}

void ParkedUploads::DropUnwanted() {
  MutexLock lock(mutex_);
  DropOverdue();
  for (auto entry = parked_.begin(); entry != parked_.end();) {
    entry = entry->second.upload->StillWanted().ok() ? std::next(entry) : parked_.erase(entry);
  }
}

void ParkedUploads::DropOverdue() {
  const absl::Duration now = clock_->SteadyNow();
  for (auto entry = parked_.begin(); entry != parked_.end();) {
    entry = entry->second.until <= now ? parked_.erase(entry) : std::next(entry);
  }
}

}  // namespace distillery
