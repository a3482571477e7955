#include "common/rpc/open_connections.h"

#include <sys/stat.h>

#include <iterator>

namespace distillery {

std::optional<OpenConnections::Socket> OpenConnections::Find(int descriptor) {
  struct stat status {};
  if (fstat(descriptor, &status) != 0) return std::nullopt;
  return Socket{status.st_dev, status.st_ino, ""};
}

void OpenConnections::Add(int descriptor, const std::string& host) {
  auto socket = Find(descriptor);
  if (!socket.has_value()) return;
  // A closed one's number is used again.
  if (const auto old = sockets_.find(descriptor); old != sockets_.end()) Forget(old);
  socket->host = host;
  sockets_[descriptor] = *socket;
  ++hosts_[host];
}

int64_t OpenConnections::Count() {
  for (auto it = sockets_.begin(); it != sockets_.end();) {
    const auto here = it++;
    const auto found = Find(here->first);
    const bool open = found.has_value() && found->device == here->second.device &&
                      found->inode == here->second.inode;
    if (!open) Forget(here);
  }
  return static_cast<int64_t>(sockets_.size());
}

bool OpenConnections::FewerThan(int64_t limit) {
  return static_cast<int64_t>(sockets_.size()) < limit || Count() < limit;
}

bool OpenConnections::FewerThan(int64_t limit, const std::string& host) {
  if (CountOf(host) < limit) return true;
  Count();
  return CountOf(host) < limit;
}

int64_t OpenConnections::CountOf(const std::string& host) const {
  const auto found = hosts_.find(host);
  return found == hosts_.end() ? 0 : found->second;
}

void OpenConnections::Forget(std::map<int, Socket>::iterator socket) {
  const auto host = hosts_.find(socket->second.host);
  if (--host->second == 0) hosts_.erase(host);
  sockets_.erase(socket);
}

}  // namespace distillery
