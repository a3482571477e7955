#include "coordinator/upload/parked_uploads.h"

#include <iterator>
#include <utility>

namespace distillery {
namespace {

constexpr absl::Duration kKept = absl::Minutes(1);

}  // namespace

void ParkedUploads::Park(const std::string& caller, const std::string& owner,
                         std::unique_ptr<Upload> upload) {
  Gone gone;
  MutexLock lock(mutex_);
  DropOverdue(&gone);
  Parked& place = parked_[{caller, upload->request_id()}];
  gone.push_back(std::move(place.upload));
  place = {std::move(upload), owner, clock_->SteadyNow() + kKept};
  auto most = CountOf(owner, caller);
  if (most.first > kMostOfOwner) return DropOldestOf(owner, &gone);
  if (static_cast<int64_t>(parked_.size()) <= kMost) return;
  std::string loser = owner;
  for (const auto& [key, parked] : parked_) {
    const auto count = CountOf(parked.owner, key.first);
    if (count <= most) continue;
    most = count;
    loser = parked.owner;
  }
  DropOldestOf(loser, &gone);
}

std::unique_ptr<Upload> ParkedUploads::Take(const std::string& caller,
                                            const std::string& request_id,
                                            const std::string& identity) {
  Gone gone;
  MutexLock lock(mutex_);
  DropOverdue(&gone);
  const auto found = parked_.find({caller, request_id});
  if (found == parked_.end()) return nullptr;
  const bool same = found->second.upload->identity() == identity;
  Drop(found, &gone);
  if (!same) return nullptr;
  std::unique_ptr<Upload> upload = std::move(gone.back());
  return upload;
}

int64_t ParkedUploads::ReceivedBytes(const std::string& caller, const std::string& request_id) {
  Gone gone;
  MutexLock lock(mutex_);
  DropOverdue(&gone);
  const auto found = parked_.find({caller, request_id});
  return found == parked_.end() ? 0 : found->second.upload->received_bytes();
}

void ParkedUploads::DropUnwanted() {
  Gone gone;
  MutexLock lock(mutex_);
  DropOverdue(&gone);
  for (auto entry = parked_.begin(); entry != parked_.end();) {
    entry = entry->second.upload->StillWanted().ok() ? std::next(entry) : Drop(entry, &gone);
  }
}

ParkedUploads::Entries::iterator ParkedUploads::Drop(Entries::iterator entry, Gone* gone) {
  gone->push_back(std::move(entry->second.upload));
  return parked_.erase(entry);
}

void ParkedUploads::DropOverdue(Gone* gone) {
  const absl::Duration now = clock_->SteadyNow();
  for (auto entry = parked_.begin(); entry != parked_.end();) {
    entry = entry->second.until <= now ? Drop(entry, gone) : std::next(entry);
  }
}

std::pair<int64_t, int64_t> ParkedUploads::CountOf(const std::string& owner,
                                                   const std::string& caller) const {
  std::pair<int64_t, int64_t> count;
  for (const auto& [key, parked] : parked_) {
    count.first += parked.owner == owner ? 1 : 0;
    count.second += key.first == caller ? 1 : 0;
  }
  return count;
}

void ParkedUploads::DropOldestOf(const std::string& owner, Gone* gone) {
  auto oldest = parked_.end();
  for (auto entry = parked_.begin(); entry != parked_.end(); ++entry) {
    if (entry->second.owner != owner) continue;
    if (oldest == parked_.end() || entry->second.until < oldest->second.until) oldest = entry;
  }
  Drop(oldest, gone);
}

}  // namespace distillery
