// The address of a connection's other end, as limits count it.
//
// Threads: safe for all.
#pragma once

#include <string>

struct sockaddr;

namespace distillery {

// "10.0.0.7" or "fe80::1", the same whether IPv4 comes as itself or within IPv6; "" for a Unix
// socket, whose peers have no address.
std::string HostOf(const sockaddr& address);

}  // namespace distillery
