// Fault 63: clients that begin calls and then neither read nor send.
#include "common/rpc/call_watch.h"

#include <atomic>
#include <thread>

#include "common/rpc/request_statistics.h"
#include "common/rpc/server.h"
#include "common/rpc/status_conversion.h"
#include "distillery/v1/teacher_service.grpc.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpc/reflection/v1/reflection.grpc.pb.h"
#include "tests/common/rpc/http2_client.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

constexpr int64_t kAnswerBytes = 1 << 20;
constexpr char kLargeAnswer[] = "/distillery.v1.TeacherService/GetTeacher";
constexpr char kHealthCheck[] = "/grpc.health.v1.Health/Check";
constexpr char kHealthWatch[] = "/grpc.health.v1.Health/Watch";
constexpr char kReflectionStream[] = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

class LargeAnswers : public v1::TeacherService::CallbackService {
 public:
  grpc::ServerUnaryReactor* GetTeacher(grpc::CallbackServerContext* context,
                                       const v1::GetTeacherRequest* /*request*/,
                                       v1::GetTeacherResponse* response) override {
    response->mutable_teacher()->set_model_name(std::string(kAnswerBytes, 'x'));
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

class CallWatchTest : public ::testing::Test {
 protected:
  CallWatchTest() {
    RpcServer::Options options;
    options.calls.clock = &clock_;
    options.calls.unread_bytes_per_client = 3 * (kAnswerBytes + 100);
    options.request_statistics = &statistics_;
    server_ = *RpcServer::Start(options, {{v1::TeacherService::service_full_name(), &service_}});
  }
  CallWatch& watch() { return server_->call_watch(); }
  int64_t Calls() const { return server_->calls().live_count; }
  void AwaitCalls(int64_t count) {
    while (Calls() != count) std::this_thread::yield();
  }
  // The limit and the patience have passed since `await` came true.
  void LetTimePass() {
    clock_.Advance(absl::Seconds(65));
    watch().EndIdle();
  }
  // Ends only if the server ends it: until then it looks again.
  void ExpectToBeEnded(Http2Client* client, uint32_t stream) {
    std::atomic<bool> ended{false};
    std::thread ticking([&] {
      while (!ended) {
        LetTimePass();
        std::this_thread::yield();
      }
    });
    Http2Client::Frame frame;
    do {
      frame = client->NextOf(stream);
      // With its status or without.
    } while (frame.kind != Http2Client::kReset && frame.kind != Http2Client::kEnd &&
             (frame.flags & Http2Client::kEndStream) == 0);
    EXPECT_NE(frame.kind, Http2Client::kEnd);
    ended = true;
    ticking.join();
    AwaitCalls(0);
  }

  FakeClock clock_;
  LargeAnswers service_;
  RequestStatistics statistics_;
  std::unique_ptr<RpcServer> server_;
  const std::string empty_;
};

TEST_F(CallWatchTest, Fault63_AnAnswerThatNobodyReadsIsEndedAndItsBytesGo) {
  Http2Client client(server_->address(), /*window=*/0);
  const uint32_t stream = client.Call(kLargeAnswer, &empty_);
  while (watch().unread_bytes() == 0) std::this_thread::yield();
  clock_.Advance(absl::Seconds(64));
  watch().EndIdle();
  EXPECT_GE(watch().unread_bytes(), kAnswerBytes) << "too early";
  ExpectToBeEnded(&client, stream);
  EXPECT_EQ(watch().unread_bytes(), 0);
}

TEST_F(CallWatchTest, Fault63_UnreadAnswersOfOneClientTakeOnlySoManyBytes) {
  Http2Client client(server_->address(), /*window=*/0);
  for (int i = 0; i < 100; ++i) client.Call(kLargeAnswer, &empty_);
  // All but three end at once, by a status that needs no window.
  for (int ended = 0; ended < 97;) {
    const Http2Client::Frame frame = client.Next();
    ASSERT_NE(frame.kind, Http2Client::kEnd);
    const bool status =
        frame.kind == Http2Client::kHeaders && (frame.flags & Http2Client::kEndStream) != 0;
    if (status) ++ended;
  }
  AwaitCalls(3);
  EXPECT_EQ(statistics_.methods()["GetTeacher"].codes["RESOURCE_EXHAUSTED"], 97);
  EXPECT_LE(watch().unread_bytes(), 3 * (kAnswerBytes + 100));
  EXPECT_GE(watch().unread_bytes(), 3 * kAnswerBytes);
  // Others are served meanwhile, and the three end.
  const auto stub = v1::TeacherService::NewStub(server_->InProcessChannel());
  grpc::ClientContext context;
  v1::GetTeacherResponse response;
  EXPECT_THAT(FromGrpcStatus(stub->GetTeacher(&context, {}, &response)), IsOk());
  while (Calls() > 0) LetTimePass();
  EXPECT_EQ(watch().unread_bytes(), 0);
}

TEST_F(CallWatchTest, Fault63_WhoSharesTheAddressOfOneThatReadsNothingIsServed) {
  Http2Client hostile(server_->address(), /*window=*/0);
  for (int i = 0; i < 100; ++i) hostile.Call(kLargeAnswer, &empty_);
  AwaitCalls(3);
  const auto stub = v1::TeacherService::NewStub(*MakeChannel(server_->address(), {}));
  for (int i = 0; i < 5; ++i) {
    grpc::ClientContext context;
    v1::GetTeacherResponse response;
    EXPECT_THAT(FromGrpcStatus(stub->GetTeacher(&context, {}, &response)), IsOk());
  }
  AwaitCalls(3);
  EXPECT_GE(watch().unread_bytes(), 3 * kAnswerBytes) << "it still reads nothing";
}

TEST_F(CallWatchTest, ASlowConnectionHasTheTimeForEachMebibyteThatItHasNotRead) {
  Http2Client client(server_->address(), /*window=*/0);
  for (int i = 0; i < 3; ++i) client.Call(kLargeAnswer, &empty_);
  while (watch().unread_bytes() < 3 * kAnswerBytes) std::this_thread::yield();
  clock_.Advance(absl::Seconds(3 * 65 - 1));
  watch().EndIdle();
  EXPECT_EQ(Calls(), 3) << "too early";
  clock_.Advance(absl::Seconds(1));
  watch().EndIdle();
  while (Calls() > 0) LetTimePass();
  EXPECT_EQ(watch().unread_bytes(), 0);
}

TEST_F(CallWatchTest, AnAnswerWaitsWhileItsConnectionReadsOthers) {
  // Has room for small answers alone.
  Http2Client client(server_->address(), /*window=*/1000);
  const uint32_t large = client.Call(kLargeAnswer, &empty_);
  while (watch().unread_bytes() == 0) std::this_thread::yield();
  for (int i = 0; i < 5; ++i) {
    clock_.Advance(absl::Seconds(64));
    const uint32_t small = client.Call(kHealthCheck, &empty_);
    Http2Client::Frame frame;
    do {
      frame = client.NextOf(small);
      ASSERT_NE(frame.kind, Http2Client::kEnd);
    } while ((frame.flags & Http2Client::kEndStream) == 0);
    AwaitCalls(1);
    watch().EndIdle();
  }
  EXPECT_GE(watch().unread_bytes(), kAnswerBytes) << "too early";
  ExpectToBeEnded(&client, large);
}

TEST_F(CallWatchTest, AClientThatReadsIsServedManyTimesItsBytes) {
  const auto stub = v1::TeacherService::NewStub(*MakeChannel(server_->address(), {}));
  for (int i = 0; i < 20; ++i) {
    grpc::ClientContext context;
    v1::GetTeacherResponse response;
    ASSERT_THAT(FromGrpcStatus(stub->GetTeacher(&context, {}, &response)), IsOk());
    EXPECT_EQ(response.teacher().model_name().size(), static_cast<size_t>(kAnswerBytes));
  }
  AwaitCalls(0);
  EXPECT_EQ(watch().unread_bytes(), 0);
}

TEST_F(CallWatchTest, Fault63_AHealthWatchThatNobodyReadsIsEnded) {
  Http2Client client(server_->address(), /*window=*/0);
  const uint32_t stream = client.Call(kHealthWatch, &empty_);
  AwaitCalls(1);
  ExpectToBeEnded(&client, stream);
}

TEST_F(CallWatchTest, AHealthWatchThatIsReadLivesOn) {
  const auto stub = grpc::health::v1::Health::NewStub(*MakeChannel(server_->address(), {}));
  grpc::ClientContext context;
  const auto watch = stub->Watch(&context, {});
  grpc::health::v1::HealthCheckResponse response;
  for (const bool serving : {false, true, false}) {
    server_->SetServing(serving);
    do {
      ASSERT_TRUE(watch->Read(&response));
    } while ((response.status() == grpc::health::v1::HealthCheckResponse::SERVING) != serving);
    // The server may hear later than the client that the message has gone out.
    while (this->watch().unread_messages() > 0) std::this_thread::yield();
    for (int i = 0; i < 3; ++i) {
      LetTimePass();
      EXPECT_EQ(Calls(), 1);
    }
  }
  context.TryCancel();
  watch->Finish();
}

TEST_F(CallWatchTest, Fault63_AReflectionStreamWithoutAQuestionIsEnded) {
  Http2Client client(server_->address(), /*window=*/65'535);
  ExpectToBeEnded(&client, client.Call(kReflectionStream, nullptr));
  // Asked once, answered, and then nothing more.
  const std::string question("\x3a\x00", 2);  // list_services: ""
  const uint32_t asked = client.Call(kReflectionStream, &question, /*last=*/false);
  EXPECT_EQ(client.NextOf(asked).kind, Http2Client::kHeaders);
  EXPECT_EQ(client.NextOf(asked).kind, Http2Client::kData);
  ExpectToBeEnded(&client, asked);
}

TEST_F(CallWatchTest, Fault63_AReflectionStreamWhoseAnswersNobodyReadsIsEnded) {
  Http2Client client(server_->address(), /*window=*/0);
  const std::string question("\x3a\x00", 2);
  ExpectToBeEnded(&client, client.Call(kReflectionStream, &question, /*last=*/false));
}

TEST_F(CallWatchTest, Fault63_ACallOfNoMethodIsAnsweredFromItsHeaderAlone) {
  Http2Client client(server_->address(), /*window=*/0);
  const Http2Client::Frame answer = client.NextOf(client.Call("/no.Service/Method", nullptr));
  EXPECT_EQ(answer.kind, Http2Client::kHeaders);
  EXPECT_TRUE(answer.flags & Http2Client::kEndStream);
}

}  // namespace
}  // namespace distillery
