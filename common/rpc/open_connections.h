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
#include <utility>

namespace distillery {

class OpenConnections {
 public:
  // Before it is given away.
  void Add(int descriptor);
  // Asks the system about each.
  int64_t Count();
  // Whether fewer than `limit` are open; asks only when the answer might be no.
  bool FewerThan(int64_t limit);

 private:
  // By descriptor: device and inode. Some may be closed.
  std::map<int, std::pair<dev_t, ino_t>> sockets_;
};

}  // namespace distillery
