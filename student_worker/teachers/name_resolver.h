// Host names to addresses.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace distillery {

class NameResolver {
 public:
  virtual ~NameResolver() = default;
  // All addresses of `host`, such as "10.0.0.3", sorted, each once. May block for half a minute.
  // UNAVAILABLE with the reason if there is none.
  virtual absl::StatusOr<std::vector<std::string>> Resolve(const std::string& host) = 0;
};

// The system's own: hosts file, DNS. IPv4 addresses if there are any, else IPv6, so that a machine
// that has both counts once. Threads: safe for all.
class SystemResolver : public NameResolver {
 public:
  absl::StatusOr<std::vector<std::string>> Resolve(const std::string& host) override;
};

}  // namespace distillery
