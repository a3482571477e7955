#include "common/rpc/listening_sockets.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

// The system takes less if its own limit (net.core.somaxconn) is lower.
constexpr int kBacklog = 4096;
// A free port of one address may be taken on another.
constexpr int kPortAttempts = 16;

absl::Status CannotListen(const std::string& address, const std::string& flag, int error) {
  std::string why = std::strerror(error);
  if (error == EADDRINUSE) {
    why = absl::StartsWith(address, "unix:") ? "the file is taken" : "the port is taken";
  }
  if (error == EADDRNOTAVAIL) why = "the address is not this machine's";
  return absl::UnavailableError(
      absl::StrCat("cannot listen on ", address, ": ", why, "; choose another with ", flag));
}

absl::StatusOr<ListeningSockets> ListenOnUnix(const std::string& address, const std::string& flag) {
  ListeningSockets result;
  result.address = address;
  absl::string_view path = absl::StripPrefix(address, "unix:");
  // "unix:///run/x" is another way to write "unix:/run/x".
  if (absl::StartsWith(path, "//")) path.remove_prefix(2);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(name.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot listen on ", address, ": a path has 1 to ", sizeof(name.sun_path) - 1, " bytes"));
  }
  path.copy(name.sun_path, path.size());
  result.unix_path = std::string(path);
  const auto* const generic = reinterpret_cast<const sockaddr*>(&name);
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return CannotListen(address, flag, errno);
  const auto bind = [&] { return ::bind(socket.get(), generic, sizeof(name)) == 0; };
  bool bound = bind();
  if (!bound && errno == EADDRINUSE) {
    struct stat file {};
    const Descriptor probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const bool left_over = stat(result.unix_path.c_str(), &file) == 0 && S_ISSOCK(file.st_mode) &&
                           connect(probe.get(), generic, sizeof(name)) != 0 &&
                           errno == ECONNREFUSED;
    if (!left_over) return CannotListen(address, flag, EADDRINUSE);
    unlink(result.unix_path.c_str());
    bound = bind();
  }
  if (!bound || listen(socket.get(), kBacklog) != 0) return CannotListen(address, flag, errno);
  result.sockets.push_back(std::move(socket));
  return result;
}

struct HostAndPort {
  std::string host;
  int port = 0;
};

absl::StatusOr<HostAndPort> Split(const std::string& address) {
  const size_t colon = address.rfind(':');
  HostAndPort result;
  if (colon != std::string::npos && colon > 0 &&
      absl::SimpleAtoi(address.substr(colon + 1), &result.port) && result.port >= 0 &&
      result.port <= 65535) {
    result.host = address.substr(0, colon);
    const bool bracketed = result.host.front() == '[' && result.host.back() == ']';
    if (bracketed) result.host = result.host.substr(1, result.host.size() - 2);
    if (bracketed || !absl::StrContains(result.host, ":")) return result;
  }
  return absl::InvalidArgumentError(absl::StrCat("cannot listen on \"", address,
                                                 "\": write HOST:PORT, [IPV6]:PORT or unix:PATH"));
}

int PortOf(const sockaddr_storage& address) {
  return ntohs(address.ss_family == AF_INET6
                   ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                   : reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

void SetPort(int port, sockaddr_storage* address) {
  const auto number = htons(static_cast<uint16_t>(port));
  if (address->ss_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6*>(address)->sin6_port = number;
  } else {
    reinterpret_cast<sockaddr_in*>(address)->sin_port = number;
  }
}

// Returns 0, or the error. `*port` 0 becomes the port taken.
int ListenOnOne(const addrinfo& info, int* port, std::vector<Descriptor>* sockets) {
  Descriptor socket(
      ::socket(info.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
  if (!socket.valid()) return errno;
  const auto set = [&](int level, int option, int value) {
    return setsockopt(socket.get(), level, option, &value, sizeof(value)) == 0;
  };
  sockaddr_storage name{};
  std::memcpy(&name, info.ai_addr, info.ai_addrlen);
  SetPort(*port, &name);
  if (info.ai_family == AF_INET6) {
    const in6_addr& ip = reinterpret_cast<const sockaddr_in6&>(name).sin6_addr;
    if (!set(IPPROTO_IPV6, IPV6_V6ONLY, IN6_IS_ADDR_UNSPECIFIED(&ip) ? 0 : 1)) return errno;
  }
  // A port whose old connections are still being closed is free; one that is listened on is not.
  // Connections inherit the second: answers are not held back to be joined.
  if (!set(SOL_SOCKET, SO_REUSEADDR, 1) || !set(IPPROTO_TCP, TCP_NODELAY, 1)) return errno;
  if (bind(socket.get(), reinterpret_cast<sockaddr*>(&name), info.ai_addrlen) != 0) return errno;
  if (listen(socket.get(), kBacklog) != 0) return errno;
  socklen_t size = sizeof(name);
  if (getsockname(socket.get(), reinterpret_cast<sockaddr*>(&name), &size) != 0) return errno;
  *port = PortOf(name);
  sockets->push_back(std::move(socket));
  return 0;
}

}  // namespace

absl::StatusOr<ListeningSockets> ListenOn(const std::string& address, const std::string& flag) {
  if (absl::StartsWith(address, "unix:")) return ListenOnUnix(address, flag);
  DISTILLERY_ASSIGN_OR_RETURN(const HostAndPort wanted, Split(address));
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(wanted.host.c_str(), nullptr, &hints, &found); error != 0) {
    return absl::UnavailableError(absl::StrCat(
        "cannot listen on ", address, ": ", gai_strerror(error), "; choose another with ", flag));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> infos(found, freeaddrinfo);
  int failure = EADDRNOTAVAIL;
  for (int attempt = 0; attempt < kPortAttempts; ++attempt) {
    ListeningSockets result;
    int port = wanted.port;
    bool taken = false;
    for (const addrinfo* info = infos.get(); info != nullptr && !taken; info = info->ai_next) {
      const int error = ListenOnOne(*info, &port, &result.sockets);
      if (error != 0) failure = error;
      // A machine may lack an address of the name, such as ::1; a taken port is never passed over.
      taken = error != 0 && error != EADDRNOTAVAIL && error != EAFNOSUPPORT;
    }
    if (!taken && !result.sockets.empty()) {
      result.address = absl::StrCat(address.substr(0, address.rfind(':') + 1), port);
      return result;
    }
    if (wanted.port != 0 || failure != EADDRINUSE) break;
  }
  return CannotListen(address, flag, failure);
}

}  // namespace distillery
