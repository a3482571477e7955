// Mutual TLS between a server and channels of ours.
#include <grpcpp/client_context.h>

#include "common/rpc/server.h"
#include "tests/common/certificates.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

class Tls : public ::testing::Test {
 protected:
  void Serve(const std::string& host) {
    RpcServer::Options options;
    options.transport = authority_.Issue("server", host);
    auto started = RpcServer::Start(options, {});
    ASSERT_THAT(started, IsOk());
    server_ = *std::move(started);
  }
  bool Connects(const TransportOptions& transport, const std::string& tls_name = "") {
    const auto channel = MakeChannel(server_->address(), transport, tls_name);
    EXPECT_THAT(channel, IsOk());
    grpc_connectivity_state state = (*channel)->GetState(/*try_to_connect=*/true);
    while (state != GRPC_CHANNEL_READY && state != GRPC_CHANNEL_TRANSIENT_FAILURE) {
      (*channel)->WaitForStateChange(state, gpr_inf_future(GPR_CLOCK_MONOTONIC));
      state = (*channel)->GetState(true);
    }
    return state == GRPC_CHANNEL_READY;
  }

  TestAuthority authority_;
  std::unique_ptr<RpcServer> server_;
};

TEST_F(Tls, TheServersCertificateMustShowItsAddress) {
  Serve("IP:127.0.0.1");
  const TransportOptions client = authority_.Issue("client", "DNS:client");
  EXPECT_TRUE(Connects(client));
  EXPECT_FALSE(Connects(client, "teachers.example"));
}

TEST_F(Tls, OrTheNameThatTheAddressWasFoundBy) {
  Serve("DNS:teachers.example");
  const TransportOptions client = authority_.Issue("client", "DNS:client");
  EXPECT_FALSE(Connects(client));
  EXPECT_TRUE(Connects(client, "teachers.example"));
  EXPECT_FALSE(Connects(client, "impostors.example"));
}

}  // namespace
}  // namespace distillery
