#include "common/rpc/listener.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>

#include <algorithm>
#include <thread>

#include "common/base/bounded_queue.h"
#include "common/base/files.h"
#include "tests/common/rpc/client_socket.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

class ListenerTest : public ::testing::Test {
 protected:
  void Listen(const Listener::Options& options, const std::string& address = "127.0.0.1:0") {
    auto listener = Listener::Listen(address, options);
    ASSERT_THAT(listener, IsOk());
    listener_ = *std::move(listener);
    listener_->Start([this](int /*listening*/, int connection) {
      most_open_ = std::max(most_open_, listener_->statistics().open_count);
      EXPECT_TRUE(accepted_.Push(connection));
    });
  }
  Descriptor Connect() { return ConnectTo(listener_->address()); }
  // Comes again if it is closed, as it may be while the listener still closes others.
  Descriptor ConnectUntilServed() {
    Descriptor client;
    while (!accepted_.Ready()) {
      pollfd closed{client.get(), POLLIN, 0};
      if (!client.valid() || poll(&closed, 1, /*timeout=*/10) > 0) client = Connect();
    }
    return client;
  }
  // The next connection that was handed on.
  Descriptor Next() { return Descriptor(*accepted_.Pop()); }

  // Used by the listener's thread alone.
  int64_t most_open_ = 0;
  BoundedQueue<int> accepted_{100};
  std::unique_ptr<Listener> listener_;
};

TEST_F(ListenerTest, HandsConnectionsOnReadyForUse) {
  Listen({});
  const Descriptor client = Connect();
  Descriptor server = Next();
  EXPECT_NE(fcntl(server.get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(fcntl(server.get(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_EQ(send(server.get(), "hello", 5, 0), 5);
  EXPECT_EQ(listener_->statistics().open_count, 1);
  server = Descriptor();
  EXPECT_EQ(ReadToEnd(client), "hello");
  EXPECT_EQ(listener_->statistics().open_count, 0);
  EXPECT_EQ(listener_->statistics().accepted_count, 1);
}

TEST_F(ListenerTest, ConnectionsBeyondTheLimitWaitUntilOneHasEnded) {
  Listener::Options options;
  options.max_connections = 2;
  options.max_connections_per_address = 2;
  options.patience = absl::InfiniteDuration();
  Listen(options);
  std::vector<Descriptor> clients;
  for (int i = 0; i < 10; ++i) clients.push_back(Connect());
  std::vector<Descriptor> held;
  held.push_back(Next());
  held.push_back(Next());
  for (int i = 2; i < 10; ++i) {
    held.erase(held.begin());
    held.push_back(Next());
  }
  EXPECT_EQ(listener_->statistics().accepted_count, 10);
  EXPECT_EQ(listener_->statistics().refused_count, 0);
  listener_->Stop();
  EXPECT_EQ(most_open_, 2);
}

TEST_F(ListenerTest, Fault63_OneAddressLeavesConnectionsToTheOthers) {
  Listener::Options options;
  options.max_connections = 4;
  Listen(options);
  const Descriptor first = Connect();
  Descriptor held = Next();
  const Descriptor second = Connect();
  const Descriptor kept = Next();
  EXPECT_EQ(ReadToEnd(Connect()), "");
  EXPECT_EQ(listener_->statistics().refused_count, 1);
  // From 127.0.0.2.
  const Descriptor other = ConnectTo(listener_->address(), INADDR_LOOPBACK + 1);
  ASSERT_TRUE(other.valid());
  const Descriptor served = Next();
  // A place that was left is free again.
  held = Descriptor();
  const Descriptor third = ConnectUntilServed();
  held = Next();
  EXPECT_EQ(listener_->statistics().open_count, 3);
}

TEST_F(ListenerTest, ConnectionsThatHaveWaitedForLongAreClosed) {
  Listener::Options options;
  options.max_connections = 1;
  options.patience = absl::ZeroDuration();
  Listen(options);
  const Descriptor first = Connect();
  Descriptor held = Next();
  EXPECT_EQ(ReadToEnd(Connect()), "");
  EXPECT_EQ(listener_->statistics().refused_count, 1);
  held = Descriptor();
  const Descriptor third = ConnectUntilServed();
  held = Next();
  EXPECT_EQ(listener_->statistics().open_count, 1);
}

TEST_F(ListenerTest, Fault35_LeavesAReserveOfDescriptorsAndHearsAgainOnceThereAreMore) {
  FakeClock clock;
  Listener::Options options;
  options.reserved_descriptors = 16;
  options.patience = absl::ZeroDuration();
  options.clock = &clock;
  Listen(options);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit limit = before;
  limit.rlim_cur = 100;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  std::vector<Descriptor> fillers;
  while (FreeDescriptors(20) > 18) {
    fillers.emplace_back(open("/dev/null", O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(fillers.back().valid());
  }
  const Descriptor first = Connect();  // leaves 17
  Descriptor held = Next();            // leaves 16
  clock.Advance(absl::Seconds(1));
  EXPECT_EQ(ReadToEnd(Connect()), "");
  // The other side may see the end a moment before the descriptor is free again.
  for (int i = 0; i < 100'000 && FreeDescriptors(100) < 16; ++i) std::this_thread::yield();
  EXPECT_GE(FreeDescriptors(100), 16);
  EXPECT_EQ(listener_->statistics().open_count, 1);
  EXPECT_EQ(listener_->statistics().refused_count, 1);
  fillers.clear();
  clock.Advance(absl::Seconds(1));
  const Descriptor third = ConnectUntilServed();
  const Descriptor other = Next();
  EXPECT_EQ(listener_->statistics().open_count, 2);
  setrlimit(RLIMIT_NOFILE, &before);
}

TEST_F(ListenerTest, AfterStopTheAddressIsFree) {
  TemporaryFolder folder;
  Listen({});
  const std::string address = listener_->address();
  listener_->Stop();
  EXPECT_FALSE(ConnectTo(address).valid());
  EXPECT_THAT(ListenOn(address), IsOk());
  Listen({}, "unix:" + folder.File("socket"));
  EXPECT_TRUE(FileExists(folder.File("socket")));
  listener_->Stop();
  EXPECT_FALSE(FileExists(folder.File("socket")));
}

}  // namespace
}  // namespace distillery
