#include "student_worker/teachers/rendezvous.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/checksum.h"

namespace distillery {

std::vector<std::string> RendezvousOrder(const RendezvousKey& key, std::vector<std::string> names) {
  // A digest of 64 hex digits: as good a weight as a number. Equal ones are no concern.
  std::vector<std::pair<std::string, std::string>> weighted;
  weighted.reserve(names.size());
  for (std::string& name : names) {
    std::string weight =
        Sha256Hex(absl::StrCat(name, "\n", key.dataset_digest, "\n", key.shard, "\n", key.view));
    weighted.emplace_back(std::move(weight), std::move(name));
  }
  std::sort(weighted.begin(), weighted.end(), std::greater<>());
  for (size_t i = 0; i < names.size(); ++i) names[i] = std::move(weighted[i].second);
  return names;
}

}  // namespace distillery
