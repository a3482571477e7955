#include "common/rpc/server.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/impl/codegen/client_unary_call.h>
#include <grpcpp/support/byte_buffer.h>

#include "common/base/files.h"
#include "common/rpc/status_conversion.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

RpcServer::Options InProcess() {
  RpcServer::Options options;
  options.address.clear();
  return options;
}

// grpc.health.v1.HealthCheckResponse.status of the whole server: 1 serving, 2 not serving.
int Health(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::ClientContext context;
  const grpc::Slice empty("");
  const grpc::ByteBuffer request(&empty, 1);
  grpc::ByteBuffer response;
  const grpc::internal::RpcMethod method("/grpc.health.v1.Health/Check",
                                         grpc::internal::RpcMethod::NORMAL_RPC);
  const grpc::Status status =
      grpc::internal::BlockingUnaryCall<grpc::ByteBuffer, grpc::ByteBuffer>(
          channel.get(), method, &context, request, &response);
  EXPECT_THAT(FromGrpcStatus(status), IsOk());
  grpc::Slice slice;
  EXPECT_TRUE(response.DumpToSingleSlice(&slice).ok());
  // One field: tag 0x08 (field 1, varint), value.
  return slice.size() == 2 && slice.begin()[0] == 0x08 ? slice.begin()[1] : 0;
}

TEST(RpcServer, IsNotServingUntilItSaysSo) {
  ASSERT_OK_AND_ASSIGN(const auto server, RpcServer::Start(InProcess(), {}));
  const auto channel = server->InProcessChannel();
  EXPECT_EQ(Health(channel), 2);
  server->SetServing(true);
  EXPECT_EQ(Health(channel), 1);
  server->SetServing(false);
  EXPECT_EQ(Health(channel), 2);
}

TEST(RpcServer, TellsThePortThatItTook) {
  TemporaryFolder folder;
  RpcServer::Options options;
  options.address_file = folder.File("address");
  ASSERT_OK_AND_ASSIGN(const auto server, RpcServer::Start(options, {}));
  EXPECT_THAT(server->address(), ::testing::MatchesRegex("127\\.0\\.0\\.1:[1-9][0-9]*"));
  EXPECT_EQ(*ReadFile(options.address_file, 100), server->address() + "\n");
  ASSERT_OK_AND_ASSIGN(const auto channel, MakeChannel(server->address(), {}));
  EXPECT_EQ(Health(channel), 2);
}

TEST(RpcServer, TakenPortIsRefusedAndNamed) {
  ASSERT_OK_AND_ASSIGN(const auto first, RpcServer::Start({}, {}));
  RpcServer::Options options;
  options.address = first->address();
  EXPECT_THAT(RpcServer::Start(options, {}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr(first->address())));
}

TEST(RpcServer, PlainTextBeyondLoopbackIsRefused) {
  RpcServer::Options options;
  options.address = "0.0.0.0:0";
  EXPECT_THAT(RpcServer::Start(options, {}), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(RpcServer, ShutdownTwiceIsOnce) {
  ASSERT_OK_AND_ASSIGN(const auto server, RpcServer::Start(InProcess(), {}));
  server->Shutdown(absl::ZeroDuration());
  server->SetServing(true);
  server->Shutdown(absl::ZeroDuration());
}

}  // namespace
}  // namespace distillery
