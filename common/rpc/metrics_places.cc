#include "common/rpc/metrics_places.h"

#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "common/rpc/peer_address.h"

namespace distillery {

void MetricsPlaces::Enter(int descriptor, const sockaddr* client) {
  Place place{descriptor, client == nullptr ? "" : HostOf(*client)};
  MutexLock lock(mutex_);
  const auto same_address = [&](const Place& other) { return other.address == place.address; };
  const auto mine = std::count_if(places_.begin(), places_.end(), same_address);
  auto oldest = places_.end();
  if (mine >= static_cast<int64_t>(kMostPerAddress)) {
    oldest = std::find_if(places_.begin(), places_.end(), same_address);
  } else if (places_.size() >= kMost) {
    oldest = places_.begin();
  }
  if (oldest != places_.end()) {
    // Whoever reads there sees the end, and closes it.
    shutdown(oldest->descriptor, SHUT_RDWR);
    places_.erase(oldest);
  }
  places_.push_back(std::move(place));
}

void MetricsPlaces::Leave(int descriptor) {
  MutexLock lock(mutex_);
  places_.remove_if([&](const Place& place) { return place.descriptor == descriptor; });
}

}  // namespace distillery
