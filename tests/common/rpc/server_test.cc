#include "common/rpc/server.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/impl/codegen/client_unary_call.h>
#include <grpcpp/support/byte_buffer.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "common/base/files.h"
#include "common/rpc/status_conversion.h"
#include "distillery/v1/teacher_service.grpc.pb.h"
#include "tests/common/rpc/client_socket.h"
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
int StatusOfHealth(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::ClientContext context;
  const grpc::Slice empty("");
  const grpc::ByteBuffer request(&empty, 1);
  grpc::ByteBuffer response;
  const grpc::internal::RpcMethod method("/grpc.health.v1.Health/Check",
                                         grpc::internal::RpcMethod::NORMAL_RPC);
  const grpc::Status status = grpc::internal::BlockingUnaryCall<grpc::ByteBuffer, grpc::ByteBuffer>(
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
  EXPECT_EQ(StatusOfHealth(channel), 2);
  server->SetServing(true);
  EXPECT_EQ(StatusOfHealth(channel), 1);
  server->SetServing(false);
  EXPECT_EQ(StatusOfHealth(channel), 2);
}

TEST(RpcServer, TellsThePortThatItTook) {
  TemporaryFolder folder;
  RpcServer::Options options;
  options.address_file = folder.File("address");
  ASSERT_OK_AND_ASSIGN(const auto server, RpcServer::Start(options, {}));
  EXPECT_THAT(server->address(), ::testing::MatchesRegex("127\\.0\\.0\\.1:[1-9][0-9]*"));
  EXPECT_EQ(*ReadFile(options.address_file, 100), server->address() + "\n");
  ASSERT_OK_AND_ASSIGN(const auto channel, MakeChannel(server->address(), {}));
  EXPECT_EQ(StatusOfHealth(channel), 2);
}

TEST(RpcServer, TakenPortIsRefusedAndNamed) {
  ASSERT_OK_AND_ASSIGN(const auto first, RpcServer::Start({}, {}));
  RpcServer::Options options;
  options.address = first->address();
  EXPECT_THAT(RpcServer::Start(options, {}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr(first->address())));
}

// Answers with whom it sees.
class PeerService : public v1::TeacherService::CallbackService {
 public:
  grpc::ServerUnaryReactor* GetTeacher(grpc::CallbackServerContext* context,
                                       const v1::GetTeacherRequest* /*request*/,
                                       v1::GetTeacherResponse* response) override {
    response->mutable_teacher()->set_model_name(context->peer());
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

std::string PeerSeenAt(const std::string& listen) {
  PeerService service;
  RpcServer::Options options;
  options.address = listen;
  auto server = RpcServer::Start(options, {{v1::TeacherService::service_full_name(), &service}});
  if (!server.ok()) return server.status().ToString();
  grpc::ClientContext context;
  v1::GetTeacherResponse response;
  const auto stub = v1::TeacherService::NewStub(*MakeChannel((*server)->address(), {}));
  EXPECT_THAT(FromGrpcStatus(stub->GetTeacher(&context, {}, &response)), IsOk());
  EXPECT_EQ((*server)->connections().open_count, 1);
  return response.teacher().model_name();
}

TEST(RpcServer, ServicesSeeTheAddressOfTheirPeer) {
  TemporaryFolder folder;
  EXPECT_THAT(PeerSeenAt("127.0.0.1:0"), ::testing::MatchesRegex("ipv4:127\\.0\\.0\\.1:[0-9]+"));
  EXPECT_THAT(PeerSeenAt("localhost:0"), ::testing::MatchesRegex("ipv[46]:.*1.*:[0-9]+"));
  EXPECT_THAT(PeerSeenAt("unix:" + folder.File("socket")), HasSubstr("unix:"));
  if (ListenOn("[::1]:0").ok()) {
    // Brackets come as they are, or as in a URI.
    EXPECT_THAT(PeerSeenAt("[::1]:0"),
                ::testing::MatchesRegex("ipv6:(\\[|%5B)::1(\\]|%5D):[0-9]+"));
  }
}

TEST(RpcServer, ConnectionsBeyondTheLimitAreServedOnceThereIsRoom) {
  PeerService service;
  RpcServer::Options options;
  options.max_connections = 1;
  ASSERT_OK_AND_ASSIGN(
      const auto server,
      RpcServer::Start(options, {{v1::TeacherService::service_full_name(), &service}}));
  Descriptor silent = ConnectTo(server->address());
  while (server->connections().open_count == 0) std::this_thread::yield();
  ASSERT_OK_AND_ASSIGN(const auto channel, MakeChannel(server->address(), {}));
  const auto stub = v1::TeacherService::NewStub(channel);
  v1::GetTeacherResponse response;
  {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(200));
    EXPECT_FALSE(stub->GetTeacher(&context, {}, &response).ok());
  }
  silent = Descriptor();
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  EXPECT_THAT(FromGrpcStatus(stub->GetTeacher(&context, {}, &response)), IsOk());
  EXPECT_EQ(server->connections().open_count, 1);
}

// HTTP/2 frames that open a call and cancel it at once, `count` times.
std::string RapidReset(int count) {
  const auto frame = [](char kind, char flags, uint32_t stream, const std::string& payload) {
    std::string head(3, '\0');
    head[1] = static_cast<char>(payload.size() >> 8);
    head[2] = static_cast<char>(payload.size());
    head += kind;
    head += flags;
    for (int shift = 24; shift >= 0; shift -= 8) head += static_cast<char>(stream >> shift);
    return head + payload;
  };
  const auto text = [](const std::string& value) {
    return std::string(1, static_cast<char>(value.size())) + value;
  };
  // HPACK without tables: POST, http, :path, :authority, content-type, te.
  const std::string headers = "\x83\x86\x04" + text("/distillery.v1.TeacherService/GetTeacher") +
                              "\x01" + text("localhost") + "\x0f\x10" + text("application/grpc") +
                              std::string(1, '\0') + text("te") + text("trailers");
  std::string result = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, "");
  for (uint32_t i = 0; i < static_cast<uint32_t>(count); ++i) {
    result += frame(1, 4, 2 * i + 1, headers) + frame(3, 0, 2 * i + 1, std::string("\0\0\0\x8", 4));
  }
  return result;
}

TEST(RpcServer, Fault55_CallsThatAreCancelledAtOnceAreRefusedBeyondAQuotaAndForgotten) {
  PeerService service;
  ASSERT_OK_AND_ASSIGN(const auto server,
                       RpcServer::Start({}, {{v1::TeacherService::service_full_name(), &service}}));
  ASSERT_OK_AND_ASSIGN(const auto channel, MakeChannel(server->address(), {}));
  const auto stub = v1::TeacherService::NewStub(channel);
  const Descriptor flood = ConnectTo(server->address());
  // A ping (RFC 9113, section 6.7) comes last: its answer says that the server has read all of it.
  const std::string ping = "the end.";
  const std::string frames = RapidReset(20'000) + std::string("\0\0\x8\x6\0\0\0\0\0", 9) + ping;
  std::thread sender([&] {
    for (size_t at = 0; at < frames.size();) {
      const ssize_t sent = send(flood.get(), frames.data() + at, frames.size() - at, MSG_NOSIGNAL);
      ASSERT_GT(sent, 0) << strerror(errno);
      at += static_cast<size_t>(sent);
    }
  });
  std::atomic<bool> is_read = false;
  std::thread reader([&] {
    EXPECT_THAT(ReadUntil(flood, ping), HasSubstr(ping));
    is_read = true;
    ReadToEnd(flood);
  });
  int64_t most = 0;
  std::thread watcher([&] {
    do {
      most = std::max(most, server->calls().live_count);
      std::this_thread::yield();
    } while (!is_read.load());
  });
  constexpr int kCalls = 100;
  for (int i = 0; i < kCalls; ++i) {
    grpc::ClientContext context;
    v1::GetTeacherResponse response;
    EXPECT_THAT(FromGrpcStatus(stub->GetTeacher(&context, {}, &response)), IsOk());
  }
  sender.join();
  watcher.join();
  shutdown(flood.get(), SHUT_RDWR);
  reader.join();
  EXPECT_GT(most, 100);
  // A call that was answered counts for a moment more.
  EXPECT_LE(most, 2048 + kCalls);
  // Each call that was counted ends.
  while (server->calls().live_count > 0) std::this_thread::yield();
}

TEST(RpcServer, PlainTextBeyondLoopbackIsRefused) {
  RpcServer::Options options;
  options.address = "0.0.0.0:0";
  EXPECT_THAT(RpcServer::Start(options, {}), StatusIs(absl::StatusCode::kInvalidArgument));
}

// Holds each call until it is cancelled.
class HoldingService : public v1::TeacherService::CallbackService {
 public:
  grpc::ServerUnaryReactor* GetTeacher(grpc::CallbackServerContext* /*context*/,
                                       const v1::GetTeacherRequest* /*request*/,
                                       v1::GetTeacherResponse* /*response*/) override {
    class Held : public grpc::ServerUnaryReactor {
      void OnCancel() override { Finish(grpc::Status::CANCELLED); }
      void OnDone() override { delete this; }
    };
    auto* const held = new Held;
    holds_.store(true);
    return held;
  }
  bool holds() const { return holds_.load(); }

 private:
  std::atomic<bool> holds_ = false;
};

TEST(RpcServer, Fault69_ACallThatItStillHasWhenItStopsIsToItsClientAsIfNobodyAnswered) {
  for (const bool in_process : {true, false}) {
    HoldingService service;
    ASSERT_OK_AND_ASSIGN(
        const auto server,
        RpcServer::Start({}, {{v1::TeacherService::service_full_name(), &service}}));
    const auto stub = v1::TeacherService::NewStub(in_process ? server->InProcessChannel()
                                                             : *MakeChannel(server->address(), {}));
    absl::Status status;
    std::thread client([&] {
      grpc::ClientContext context;
      v1::GetTeacherResponse response;
      status = FromGrpcStatus(stub->GetTeacher(&context, {}, &response));
    });
    while (!service.holds()) std::this_thread::yield();
    server->Shutdown(absl::ZeroDuration());
    client.join();
    EXPECT_TRUE(NobodyAnswered(status)) << status;
  }
}

TEST(RpcServer, ShutdownTwiceIsOnce) {
  ASSERT_OK_AND_ASSIGN(const auto server, RpcServer::Start(InProcess(), {}));
  server->Shutdown(absl::ZeroDuration());
  server->SetServing(true);
  server->Shutdown(absl::ZeroDuration());
}

}  // namespace
}  // namespace distillery
