// New certificates under running servers and clients.
#include <filesystem>

#include "common/base/files.h"
#include "common/rpc/connection.h"
#include "common/rpc/server.h"
#include "tests/common/certificates.h"
#include "tests/common/log_lines.h"
#include "tests/common/rpc/raw_call.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

void Replace(const std::string& from, const std::string& to) {
  ASSERT_OK_AND_ASSIGN(const std::string text, ReadFile(from, 1 << 20));
  ASSERT_THAT(WriteFileDurably(to, text), IsOk());
}

// In the order in which a person may copy them.
void Replace(const TransportOptions& from, const TransportOptions& to) {
  Replace(from.tls_certificate, to.tls_certificate);
  Replace(from.tls_key, to.tls_key);
  Replace(from.tls_ca, to.tls_ca);
}

class CertificateReload : public ::testing::Test {
 protected:
  CertificateReload() {
    RpcServer::Options options;
    options.transport = serving_ = old_.IssueServer();
    auto started = RpcServer::Start(options, {});
    EXPECT_THAT(started, IsOk());
    server_ = *std::move(started);
  }
  absl::Status Check(const std::shared_ptr<grpc::Channel>& channel) {
    return CallEmpty(channel, kHealthCheck);
  }
  // Over a new connection.
  absl::Status Connect(const TransportOptions& transport) {
    auto channel = MakeChannel(server_->address(), transport);
    EXPECT_THAT(channel, IsOk());
    return Check(*channel);
  }

  TestAuthority old_;
  TestAuthority new_;
  TransportOptions serving_;
  std::unique_ptr<RpcServer> server_;
};

TEST_F(CertificateReload, NewConnectionsGetTheNewCertificateAndItsAuthority) {
  const TransportOptions before = old_.IssueRole("reader", "before");
  const TransportOptions after = new_.IssueRole("reader", "after");
  ASSERT_OK_AND_ASSIGN(const auto open, MakeChannel(server_->address(), before));
  EXPECT_THAT(Check(open), IsOk());
  EXPECT_THAT(Connect(after), StatusIs(absl::StatusCode::kUnavailable));
  Replace(new_.IssueServer(), serving_);
  EXPECT_THAT(Connect(after), IsOk());
  EXPECT_THAT(Connect(before), StatusIs(absl::StatusCode::kUnavailable));
  // What is open stays open.
  EXPECT_THAT(Check(open), IsOk());
}

TEST_F(CertificateReload, AWrongPairLeavesTheOldOneServingWithOneWarning) {
  const TransportOptions client = old_.IssueRole("reader", "ada");
  const TransportOptions other = new_.IssueServer();
  LogLines lines;
  Replace(other.tls_key, serving_.tls_key);
  for (int i = 0; i < 3; ++i) EXPECT_THAT(Connect(client), IsOk());
  const std::vector<std::string> warnings = lines.Of("warning");
  ASSERT_EQ(warnings.size(), 1);
  EXPECT_THAT(warnings[0], HasSubstr("not the key of"));
  Replace(other, serving_);
  EXPECT_THAT(Connect(client), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(Connect(new_.IssueRole("reader", "ada")), IsOk());
  EXPECT_EQ(lines.Of("warning").size(), 1);
}

TEST_F(CertificateReload, AClientTakesUpItsNewCertificateToo) {
  const TransportOptions files = old_.IssueRole("worker", "w");
  ASSERT_OK_AND_ASSIGN(const auto connection, Connection::Open(server_->address(), files));
  const auto before = connection->channel();
  EXPECT_THAT(Check(before), IsOk());
  EXPECT_EQ(connection->channel(), before);
  Replace(new_.IssueServer(), serving_);
  Replace(new_.IssueRole("worker", "w"), files);
  EXPECT_NE(connection->channel(), before);
  EXPECT_THAT(Check(connection->channel()), IsOk());
  EXPECT_THAT(Check(before), IsOk());  // a call in flight would end there
}

TEST_F(CertificateReload, AClientsWrongPairLeavesItsOldOne) {
  const TransportOptions files = old_.IssueRole("worker", "w");
  ASSERT_OK_AND_ASSIGN(const auto connection, Connection::Open(server_->address(), files));
  const auto before = connection->channel();
  LogLines lines;
  Replace(new_.IssueRole("worker", "w").tls_certificate, files.tls_certificate);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(connection->channel(), before);
  EXPECT_EQ(lines.Of("warning").size(), 1);
  EXPECT_THAT(Check(connection->channel()), IsOk());
}

}  // namespace
}  // namespace distillery
