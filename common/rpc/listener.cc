#include "common/rpc/listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/disk_errors.h"
#include "common/base/logging.h"
#include "common/base/status_macros.h"
#include "common/rpc/peer_address.h"

namespace distillery {
namespace {

// Between two looks at whether there is room again.
constexpr absl::Duration kRoomPeriod = absl::Milliseconds(50);
// Free descriptors are counted once for so many connections, and again after so long.
constexpr int64_t kCountedAhead = 64;
constexpr absl::Duration kCountPeriod = absl::Milliseconds(100);
// Between two lines that tell of connections of one address closed.
constexpr absl::Duration kCrowdPeriod = absl::Seconds(10);
// Connections closed before looking for room again.
constexpr int kRefusedAtOnce = 64;
// A peer that neither acknowledges nor takes what was sent for so long is gone. gRPC's keepalive
// cannot tell where the socket is full, since its ping waits behind the data; it sets this option
// on sockets of its own alone (gRFC A18).
constexpr unsigned kPeerGoneMilliseconds = 40'000;

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> Listener::Listen(const std::string& address,
                                                           const Options& options) {
  DISTILLERY_ASSIGN_OR_RETURN(ListeningSockets sockets, ListenOn(address));
  Descriptor stop(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop.valid()) return ErrnoStatus(errno, absl::StrCat("cannot listen on ", address));
  return std::unique_ptr<Listener>(new Listener(options, std::move(sockets), std::move(stop)));
}

Listener::~Listener() { Stop(); }

void Listener::Start(Handler handler) {
  handler_ = std::move(handler);
  thread_ = std::thread([this] { Run(); });
}

void Listener::Stop() {
  if (thread_.joinable()) {
    eventfd_write(stop_.get(), 1);
    thread_.join();
  }
  if (!sockets_.sockets.empty() && !sockets_.unix_path.empty()) {
    unlink(sockets_.unix_path.c_str());
  }
  sockets_.sockets.clear();
}

Listener::Statistics Listener::statistics() const {
  Statistics result;
  result.accepted_count = accepted_.load();
  result.refused_count = refused_.load();
  MutexLock lock(mutex_);
  result.open_count = open_.Count();
  return result;
}

void Listener::Run() {
  // The first and the last look at which connections waited without there being room.
  absl::Duration full_since = -absl::InfiniteDuration();
  absl::Duration full_last = -absl::InfiniteDuration();
  int64_t refused_before = 0;
  while (!Stopping(absl::ZeroDuration())) {
    std::string lacks;
    for (const int socket : WaitForConnections()) {
      lacks = LacksRoom();
      if (lacks.empty()) lacks = AcceptOne(socket);
      if (!lacks.empty()) break;
      full_last = -absl::InfiniteDuration();
    }
    if (lacks.empty()) continue;
    const absl::Duration now = options_.clock->SteadyNow();
    if (now - full_last > 10 * kRoomPeriod) full_since = now;
    full_last = now;
    if (now - full_since >= options_.patience) {
      if (RefuseWaiting() == kRefusedAtOnce) continue;
      full_since = now;
      LogWarning("closed {} new connections at {}: {}", refused_ - refused_before, sockets_.address,
                 lacks);
      refused_before = refused_;
    }
    if (Stopping(kRoomPeriod)) return;
  }
}

bool Listener::Stopping(absl::Duration wait) const {
  pollfd stop{stop_.get(), POLLIN, 0};
  return poll(&stop, 1, static_cast<int>(absl::ToInt64Milliseconds(wait))) > 0;
}

std::vector<int> Listener::WaitForConnections() {
  std::vector<pollfd> polled;
  for (const Descriptor& socket : sockets_.sockets) polled.push_back({socket.get(), POLLIN, 0});
  polled.push_back({stop_.get(), POLLIN, 0});
  std::vector<int> ready;
  if (poll(polled.data(), polled.size(), /*timeout=*/-1) <= 0 || polled.back().revents != 0) {
    return ready;
  }
  for (const pollfd& socket : polled) {
    if (socket.revents != 0) ready.push_back(socket.fd);
  }
  return ready;
}

std::string Listener::LacksRoom() {
  {
    MutexLock lock(mutex_);
    if (!open_.FewerThan(options_.max_connections)) {
      return absl::StrCat(options_.max_connections, " connections are open (--max-connections)");
    }
  }
  const absl::Duration now = options_.clock->SteadyNow();
  if (free_descriptors_ <= 0 || now >= free_until_) {
    free_descriptors_ = FreeDescriptors(kCountedAhead + options_.reserved_descriptors) -
                        options_.reserved_descriptors;
    free_until_ = now + kCountPeriod;
  }
  return free_descriptors_ > 0 ? "" : "no file descriptor is left for them (ulimit -n)";
}

std::string Listener::AcceptOne(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  auto* const peer = reinterpret_cast<sockaddr*>(&address);
  Descriptor connection(accept4(socket, peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!connection.valid()) {
    const bool short_of_something =
        errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
    // Else the client has left.
    return short_of_something ? std::strerror(errno) : "";
  }
  // A Unix socket has no such option, and its peer cannot vanish.
  setsockopt(connection.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, &kPeerGoneMilliseconds,
             sizeof(kPeerGoneMilliseconds));
  const std::string host = HostOf(*peer);
  bool crowded = false;
  {
    MutexLock lock(mutex_);
    crowded = !host.empty() && !open_.FewerThan(PerAddress(), host);
    if (!crowded) open_.Add(connection.get(), host);
  }
  if (crowded) {
    ++refused_;
    WarnOfCrowd(host);
    return "";
  }
  --free_descriptors_;
  ++accepted_;
  handler_(socket, connection.Release());
  return "";
}

int64_t Listener::PerAddress() const {
  return options_.max_connections_per_address > 0
             ? options_.max_connections_per_address
             : std::max<int64_t>(1, options_.max_connections / 2);
}

void Listener::WarnOfCrowd(const std::string& host) {
  const absl::Duration now = options_.clock->SteadyNow();
  if (now - crowd_warned_ < kCrowdPeriod) return;
  crowd_warned_ = now;
  LogWarning(
      "closed a new connection of {} at {}: {} of it are open "
      "(--max-connections-per-address)",
      host, sockets_.address, PerAddress());
}

int Listener::RefuseWaiting() {
  int count = 0;
  for (const Descriptor& socket : sockets_.sockets) {
    while (count < kRefusedAtOnce) {
      const Descriptor refused(accept4(socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!refused.valid()) break;
      ++count;
      ++refused_;
    }
  }
  return count;
}

}  // namespace distillery
