// Rendezvous hashing (highest random weight; Thaler and Ravishankar 1998): who serves a shard,
// agreed on by all who know the same names, without any table.
//
// Each name has a weight for each shard, a hash of both. The highest is preferred, the next is
// where to go when it fails. When a name goes, only the shards that it served move, evenly to the
// others.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace distillery {

// What is kept near: the soft targets of a shard, as one view of it.
struct RendezvousKey {
  std::string dataset_digest;
  int64_t shard = 0;
  int64_t view = 0;
};

// `names` in the order of preference for `key`: a pure function, whatever their order was; the same
// on every machine and in every release, since caches depend on it.
std::vector<std::string> RendezvousOrder(const RendezvousKey& key, std::vector<std::string> names);

}  // namespace distillery
