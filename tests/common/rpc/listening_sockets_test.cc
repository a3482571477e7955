#include "common/rpc/listening_sockets.h"

#include <sys/un.h>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "tests/common/rpc/client_socket.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

bool Ipv6IsThere() { return ListenOn("[::1]:0").ok(); }
std::string PortOf(const std::string& address) { return address.substr(address.rfind(':')); }

TEST(ListenOn, TakesAFreePortAndSaysWhich) {
  ASSERT_OK_AND_ASSIGN(const ListeningSockets sockets, ListenOn("127.0.0.1:0"));
  EXPECT_THAT(sockets.address, MatchesRegex("127\\.0\\.0\\.1:[1-9][0-9]*"));
  EXPECT_TRUE(ConnectTo(sockets.address).valid());
}

TEST(ListenOn, ANameIsServedOnAllItsAddressesWithOnePort) {
  ASSERT_OK_AND_ASSIGN(const ListeningSockets sockets, ListenOn("localhost:0"));
  EXPECT_THAT(sockets.address, MatchesRegex("localhost:[1-9][0-9]*"));
  EXPECT_TRUE(ConnectTo("127.0.0.1" + PortOf(sockets.address)).valid());
  if (sockets.sockets.size() > 1) {
    EXPECT_TRUE(ConnectTo("[::1]" + PortOf(sockets.address)).valid());
  }
}

TEST(ListenOn, Ipv6StandsInBrackets) {
  if (!Ipv6IsThere()) GTEST_SKIP() << "this machine has no IPv6";
  ASSERT_OK_AND_ASSIGN(const ListeningSockets sockets, ListenOn("[::1]:0"));
  EXPECT_THAT(sockets.address, MatchesRegex("\\[::1\\]:[1-9][0-9]*"));
  EXPECT_TRUE(ConnectTo(sockets.address).valid());
  ASSERT_OK_AND_ASSIGN(const ListeningSockets all, ListenOn("[::]:0"));
  EXPECT_TRUE(ConnectTo("127.0.0.1" + PortOf(all.address)).valid());
}

TEST(ListenOn, ATakenPortIsRefusedWithTheFlagThatChoosesAnother) {
  ASSERT_OK_AND_ASSIGN(const ListeningSockets first, ListenOn("127.0.0.1:0"));
  EXPECT_THAT(ListenOn(first.address),
              StatusIs(absl::StatusCode::kUnavailable,
                       absl::StrCat("cannot listen on ", first.address,
                                    ": the port is taken; choose another with --listen")));
  EXPECT_THAT(ListenOn("localhost" + PortOf(first.address), "--other"),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("with --other")));
  EXPECT_THAT(ListenOn("0.0.0.0" + PortOf(first.address)),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("taken")));
}

TEST(ListenOn, AnotherMachinesAddressIsRefused) {
  // 192.0.2.0/24 is kept for documentation.
  EXPECT_THAT(ListenOn("192.0.2.1:0"),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("not this machine's")));
}

TEST(ListenOn, WhatIsNoAddressIsRefused) {
  for (const char* const bad : {"", ":", ":80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:-1",
                                "127.0.0.1:65536", "127.0.0.1:x", "::1:80", "dns:///a:80"}) {
    EXPECT_THAT(ListenOn(bad), StatusIs(absl::StatusCode::kInvalidArgument,
                                        HasSubstr(absl::StrCat("\"", bad, "\""))))
        << bad;
  }
  EXPECT_THAT(ListenOn("unix:"), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ListenOn("unix:/" + std::string(200, 'x')),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("1 to 107")));
}

TEST(ListenOn, ASocketFileIsReplacedOnceNobodyListensOnIt) {
  TemporaryFolder folder;
  const std::string address = "unix:" + folder.File("socket");
  {
    ASSERT_OK_AND_ASSIGN(const ListeningSockets first, ListenOn(address));
    EXPECT_EQ(first.unix_path, folder.File("socket"));
    EXPECT_THAT(ListenOn(address), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("taken")));
  }
  EXPECT_TRUE(FileExists(folder.File("socket")));
  EXPECT_THAT(ListenOn(absl::StrCat("unix://", folder.File("socket"))), IsOk());
}

TEST(ListenOn, AFileThatIsNoSocketIsLeftAlone) {
  TemporaryFolder folder;
  ASSERT_THAT(WriteFileDurably(folder.File("data"), "precious"), IsOk());
  EXPECT_THAT(ListenOn("unix:" + folder.File("data")), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(*ReadFile(folder.File("data"), 100), "precious");
}

}  // namespace
}  // namespace distillery
