// Sockets that listen on an address.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/descriptor.h"

namespace distillery {

struct ListeningSockets {
  // Non-blocking; one for each address that the host's name stands for, all with one port.
  std::vector<Descriptor> sockets;
  // As asked for, with the port taken.
  std::string address;
  // The file of a unix socket, which its owner removes; else empty.
  std::string unix_path;
};

// "HOST:PORT", "[IPV6]:PORT" or "unix:PATH"; port 0 takes a free one; "[::]" takes IPv4 as well,
// "0.0.0.0" IPv4 alone.
// Blocks to look a name up. UNAVAILABLE if the port is taken, on any of the host's addresses, or
// the address is not this machine's; INVALID_ARGUMENT for what is no address. A socket file that
// nobody listens on any more is replaced. `flag` is for the messages.
absl::StatusOr<ListeningSockets> ListenOn(const std::string& address,
                                          const std::string& flag = "--listen");

}  // namespace distillery
