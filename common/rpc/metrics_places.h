// Who has a connection to the metrics port: each address a few, all together some more. Whoever
// comes when these are taken gets the place of the oldest, of that address or of all.
//
// Threads: safe for all.
#pragma once

#include <list>
#include <string>

#include "common/base/mutex.h"

struct sockaddr;

namespace distillery {

class MetricsPlaces {
 public:
  static constexpr unsigned kMost = 64;
  static constexpr unsigned kMostPerAddress = 8;

  // A connection begins; others are shut down for it. Its descriptor stays open until Leave.
  // `client`: null for one without an address.
  void Enter(int descriptor, const sockaddr* client);
  void Leave(int descriptor);

 private:
  struct Place {
    int descriptor = -1;
    std::string address;
  };

  Mutex mutex_;
  // Oldest first.
  std::list<Place> places_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace distillery
