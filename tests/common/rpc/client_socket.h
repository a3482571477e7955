// A plain TCP client on loopback.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <string>

#include "common/base/descriptor.h"

namespace distillery {

// Connects to "127.0.0.1:PORT" or "[::1]:PORT"; not valid() if that fails. `from`: an IPv4 address
// of this machine to come from.
inline Descriptor ConnectTo(const std::string& address, in_addr_t from = INADDR_ANY) {
  const size_t colon = address.rfind(':');
  const auto port = htons(static_cast<uint16_t>(std::stoi(address.substr(colon + 1))));
  const bool v6 = address.front() == '[';
  Descriptor result(socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (from != INADDR_ANY) {
    sockaddr_in local{};
    local.sin_family = AF_INET;
    local.sin_addr.s_addr = htonl(from);
    if (bind(result.get(), reinterpret_cast<const sockaddr*>(&local), sizeof(local)) != 0)
      return {};
  }
  sockaddr_in6 name6{};
  name6.sin6_family = AF_INET6;
  name6.sin6_addr = in6addr_loopback;
  name6.sin6_port = port;
  sockaddr_in name4{};
  name4.sin_family = AF_INET;
  name4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  name4.sin_port = port;
  const auto* const name =
      v6 ? reinterpret_cast<const sockaddr*>(&name6) : reinterpret_cast<const sockaddr*>(&name4);
  const socklen_t size = v6 ? sizeof(name6) : sizeof(name4);
  if (connect(result.get(), name, size) != 0) return {};
  return result;
}

// What the server sends until `text` is in it, or else until it closes; blocks for that.
inline std::string ReadUntil(const Descriptor& connection, const std::string& text) {
  std::string all;
  char buffer[4096];
  ssize_t size = 0;
  while (all.find(text) == std::string::npos &&
         (size = recv(connection.get(), buffer, sizeof(buffer), 0)) > 0) {
    all.append(buffer, static_cast<size_t>(size));
  }
  return all;
}

// What the server sends until it closes; blocks for that.
inline std::string ReadToEnd(const Descriptor& connection) {
  std::string all;
  char buffer[4096];
  ssize_t size = 0;
  while ((size = recv(connection.get(), buffer, sizeof(buffer), 0)) > 0) {
    all.append(buffer, static_cast<size_t>(size));
  }
  return all;
}

}  // namespace distillery
