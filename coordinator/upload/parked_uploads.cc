#include "coordinator/upload/parked_uploads.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace distillery {
namespace {

constexpr absl::Duration kKept = absl::Minutes(1);

}  // namespace

void ParkedUploads::Park(const std::string& caller, const std::string& owner,
                         std::unique_ptr<Upload> upload) {
  MutexLock lock(mutex_);
  DropOverdue();
  const std::string request_id = upload->request_id();
  parked_[{caller, request_id}] = {std::move(upload), owner, clock_->SteadyNow() + kKept};
  size_t most = CountOf(owner);
  if (most > kMostOfOwner) return DropOldestOf(owner);
  if (parked_.size() <= kMost) return;
  std::string loser = owner;
  for (const auto& [key, parked] : parked_) {
    const size_t count = CountOf(parked.owner);
    if (count <= most) continue;
    most = count;
    loser = parked.owner;
  }
  DropOldestOf(loser);
}

std::unique_ptr<Upload> ParkedUploads::Take(const std::string& caller,
                                            const std::string& request_id,
                                            const std::string& identity) {
  MutexLock lock(mutex_);
  DropOverdue();
  const auto found = parked_.find({caller, request_id});
  if (found == parked_.end() || found->second.upload->identity() != identity) return nullptr;
  std::unique_ptr<Upload> upload = std::move(found->second.upload);
  parked_.erase(found);
  return upload;
}

int64_t ParkedUploads::ReceivedBytes(const std::string& caller, const std::string& request_id) {
  MutexLock lock(mutex_);
  DropOverdue();
  const auto found = parked_.find({caller, request_id});
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

size_t ParkedUploads::CountOf(const std::string& owner) const {
  return static_cast<size_t>(std::count_if(parked_.begin(), parked_.end(), [&](const auto& entry) {
    return entry.second.owner == owner;
  }));
}

void ParkedUploads::DropOldestOf(const std::string& owner) {
  auto oldest = parked_.end();
  for (auto entry = parked_.begin(); entry != parked_.end(); ++entry) {
    if (entry->second.owner != owner) continue;
    if (oldest == parked_.end() || entry->second.until < oldest->second.until) oldest = entry;
  }
  parked_.erase(oldest);
}

}  // namespace distillery
