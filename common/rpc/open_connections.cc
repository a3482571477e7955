#include "common/rpc/open_connections.h"

#include <sys/stat.h>

#include <optional>

namespace distillery {
namespace {

std::optional<std::pair<dev_t, ino_t>> IdentityOf(int descriptor) {
  struct stat status {};
  if (fstat(descriptor, &status) != 0) return std::nullopt;
  return std::make_pair(status.st_dev, status.st_ino);
}

}  // namespace

void OpenConnections::Add(int descriptor) {
  if (const auto identity = IdentityOf(descriptor)) sockets_[descriptor] = *identity;
}

int64_t OpenConnections::Count() {
  for (auto it = sockets_.begin(); it != sockets_.end();) {
    it = IdentityOf(it->first) == it->second ? std::next(it) : sockets_.erase(it);
  }
  return static_cast<int64_t>(sockets_.size());
}

bool OpenConnections::FewerThan(int64_t limit) {
  return static_cast<int64_t>(sockets_.size()) < limit || Count() < limit;
}

}  // namespace distillery
