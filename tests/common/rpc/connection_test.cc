// What a client is told when TLS is why it cannot connect.
#include "common/rpc/connection.h"

#include <sys/socket.h>

#include <csignal>

#include "absl/time/clock.h"
#include "common/base/descriptor.h"
#include "common/rpc/listener.h"
#include "common/rpc/server.h"
#include "tests/common/certificates.h"
#include "tests/common/rpc/raw_call.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class ConnectionTest : public ::testing::Test {
 protected:
  // As StopSignal does in our programs.
  ConnectionTest() { signal(SIGPIPE, SIG_IGN); }
  void Serve(const TransportOptions& transport) {
    RpcServer::Options options;
    options.transport = transport;
    auto started = RpcServer::Start(options, {});
    ASSERT_THAT(started, IsOk());
    server_ = *std::move(started);
    address_ = server_->address();
  }
  absl::Status Ask(const TransportOptions& transport, const std::string& name = "") {
    const auto connection = Connection::Open(address_, transport, name);
    EXPECT_THAT(connection, IsOk());
    return (*connection)->Explain(CallEmpty((*connection)->channel(), kHealthCheck));
  }

  TestAuthority authority_;
  TestAuthority other_;
  std::unique_ptr<RpcServer> server_;
  std::string address_;
};

TEST_F(ConnectionTest, NothingIsWrongWithOneThatWorks) {
  Serve(authority_.IssueServer());
  ASSERT_OK_AND_ASSIGN(const auto connection,
                       Connection::Open(address_, authority_.IssueRole("reader", "ada")));
  EXPECT_THAT(CallEmpty(connection->channel(), kHealthCheck), IsOk());
  EXPECT_THAT(connection->Diagnose(), IsOk());
}

TEST_F(ConnectionTest, NobodyThereIsNoFaultOfTls) {
  Serve({});
  server_.reset();
  EXPECT_THAT(Ask({}), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(Ask(authority_.IssueRole("reader", "ada")), StatusIs(absl::StatusCode::kUnavailable));
}

// Takes connections and closes them: at once, or after some bytes.
class Hangup {
 public:
  explicit Hangup(const std::string& bytes) {
    auto listening = Listener::Listen("127.0.0.1:0", {});
    EXPECT_THAT(listening, IsOk());
    listener_ = *std::move(listening);
    listener_->Start([bytes](int, int connection) {
      const Descriptor owned(connection);
      EXPECT_EQ(send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL),
                static_cast<ssize_t>(bytes.size()));
    });
  }
  const std::string& address() const { return listener_->address(); }

 private:
  std::unique_ptr<Listener> listener_;
};

TEST_F(ConnectionTest, APeerThatHangsUpProvesNothing) {
  // Nothing, the begin of a record of TLS, and of an alert.
  for (const std::string& bytes : {std::string(), std::string("\x16\x03\x03\x00\x7a\x02", 6),
                                   std::string("\x15\x03\x03", 3)}) {
    const Hangup peer(bytes);
    address_ = peer.address();
    for (int i = 0; i < 20; ++i) {
      EXPECT_THAT(Ask({}), StatusIs(absl::StatusCode::kUnavailable));
      EXPECT_THAT(Ask(authority_.IssueRole("reader", "ada")),
                  StatusIs(absl::StatusCode::kUnavailable));
    }
  }
}

TEST_F(ConnectionTest, Fault47_NoCertificateForAServerThatWantsOne) {
  Serve(authority_.IssueServer());
  EXPECT_THAT(Ask({}), StatusIs(kPrecondition, AllOf(HasSubstr(address_ + " speaks TLS"),
                                                     HasSubstr("give --tls-certificate"))));
}

TEST_F(ConnectionTest, Fault47_ACertificateForAServerThatSpeaksPlainText) {
  Serve({});
  EXPECT_THAT(Ask(authority_.IssueRole("reader", "ada")),
              StatusIs(kPrecondition, AllOf(HasSubstr(address_ + " speaks plain text"),
                                            HasSubstr("--tls-certificate"))));
  EXPECT_THAT(Ask({}), IsOk());
}

TEST_F(ConnectionTest, Fault47_AServerOfAnotherAuthority) {
  Serve(authority_.IssueServer());
  EXPECT_THAT(Ask(other_.IssueRole("reader", "ada")),
              StatusIs(kPrecondition,
                       AllOf(HasSubstr("the certificate of " + address_ + " (coordinator"),
                             HasSubstr("is from another authority"), HasSubstr("--tls-ca"))));
}

TEST_F(ConnectionTest, Fault47_AClientOfAnotherAuthority) {
  Serve(authority_.IssueServer());
  TransportOptions client = other_.IssueRole("worker", "w");
  client.tls_ca = authority_.IssueRole("worker", "w").tls_ca;
  EXPECT_THAT(Ask(client),
              StatusIs(kPrecondition,
                       AllOf(HasSubstr(address_ + " refuses this program's"),
                             HasSubstr("worker \"w\""), HasSubstr("that server's --tls-ca"))));
}

TEST_F(ConnectionTest, Fault47_AnExpiredServer) {
  // It expires while it runs: at the start it would be refused.
  Serve(authority_.Issue("server", "IP:127.0.0.1,URI:spiffe://distillery/coordinator/server",
                         /*end=*/2));
  absl::Status status;
  const absl::Time patience = absl::Now() + absl::Seconds(60);
  do {
    status = Ask(authority_.IssueRole("reader", "ada"));
  } while (status.ok() && absl::Now() < patience);
  EXPECT_THAT(status, StatusIs(kPrecondition, AllOf(HasSubstr("expired at"),
                                                    HasSubstr("the certificate of " + address_),
                                                    HasSubstr("create DIR --force"))));
}

TEST_F(ConnectionTest, Fault47_AnExpiredClientIsToldBeforeItConnects) {
  Serve(authority_.IssueServer());
  EXPECT_THAT(Connection::Open(
                  address_, authority_.Issue("w", "URI:spiffe://distillery/worker/w", /*end=*/-60)),
              StatusIs(kPrecondition, AllOf(HasSubstr("w.pem: the certificate expired at"),
                                            HasSubstr("--role worker --name w"))));
}

TEST_F(ConnectionTest, Fault47_AServerOfAnotherName) {
  Serve(authority_.Issue("server", "DNS:t.example,URI:spiffe://distillery/teacher/t"));
  EXPECT_THAT(Ask(authority_.IssueRole("reader", "ada")),
              StatusIs(kPrecondition, AllOf(HasSubstr("is for t.example, not for 127.0.0.1"),
                                            HasSubstr("--hosts 127.0.0.1"))));
  EXPECT_THAT(Ask(authority_.IssueRole("reader", "ada"), "t.example"), IsOk());
  EXPECT_THAT(Ask(authority_.IssueRole("reader", "ada"), "u.example"),
              StatusIs(kPrecondition, HasSubstr("not for u.example")));
}

}  // namespace
}  // namespace distillery
