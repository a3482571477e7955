// Which of the connections that were given away are still open.
//
// gRPC does not tell when it closes a socket that it was given, and the number of a closed one is
// soon used again. The inode tells: each socket has one of its own.
//
// Threads: none; whoever owns it locks.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace distillery {

class OpenConnections {
 public:
  // Before it is given away. `host`: see HostOf.
  void Add(int descriptor, const std::string& host);
  // Asks the system about each.
  int64_t Count();
  // Whether fewer than `limit` are open; asks only when the answer might be no.
  bool FewerThan(int64_t limit);
  // The same of one host's.
  bool FewerThan(int64_t limit, const std::string& host);

 private:
  struct Socket {
    dev_t device = 0;
    ino_t inode = 0;
    std::string host;
  };
  static std::optional<Socket> Find(int descriptor);
  int64_t CountOf(const std::string& host) const;
  void Forget(std::map<int, Socket>::iterator socket);

  // By descriptor; some may be closed.
  std::map<int, Socket> sockets_;
  // How many of `sockets_` each host has; without those that have none.
  std::map<std::string, int64_t> hosts_;
};

}  // namespace distillery
