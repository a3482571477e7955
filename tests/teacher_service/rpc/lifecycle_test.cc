// The teacher while it loads and drains.
#include <thread>

#include "tests/teacher_service/rpc/teacher_server.h"
#include "tests/teacher_service/teachers/gate.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

// grpc.health.v1 by hand: HealthCheckResponse{status = 1}, 1 SERVING, 2 NOT_SERVING.
std::string Health(TeacherServer& server) {
  const auto [status, bytes] = RawCall(server.channel(), "/grpc.health.v1.Health/Check", "");
  EXPECT_TRUE(status.ok()) << status.error_message();
  return bytes;
}
constexpr char kServing[] = "\x08\x01";
constexpr char kNotServing[] = "\x08\x02";

void ExpectUnavailableWithRetryInfo(const grpc::Status& status, const std::string& text) {
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), HasSubstr(text));
  EXPECT_THAT(status.error_details(), HasSubstr("type.googleapis.com/google.rpc.RetryInfo"));
}

// The status of each of the three rpcs.
std::vector<grpc::Status> CallEach(TeacherServer& server) {
  std::vector<grpc::Status> statuses;
  {
    grpc::ClientContext context;
    v1::GetTeacherResponse response;
    statuses.push_back(server.stub().GetTeacher(&context, {}, &response));
  }
  {
    grpc::ClientContext context;
    v1::ComputeSoftTargetsResponse response;
    statuses.push_back(server.stub().ComputeSoftTargets(&context, ComputeRequest(), &response));
  }
  grpc::ClientContext context;
  const auto reader = server.stub().StreamSoftTargets(&context, StreamRequest());
  v1::StreamSoftTargetsResponse message;
  EXPECT_FALSE(reader->Read(&message));
  statuses.push_back(reader->Finish());
  return statuses;
}

TEST(TeacherLifecycle, Fault10_CallsAreUnavailableWithRetryInfoUntilTheTeacherIsWarm) {
  TeacherServer server;
  EXPECT_EQ(Health(server), kNotServing);
  for (const grpc::Status& status : CallEach(server)) {
    ExpectUnavailableWithRetryInfo(status, "loading");
  }
  server.SetTeacher(std::make_shared<FakeTeacher>(32, nullptr));
  EXPECT_EQ(Health(server), kNotServing);
  server.server().SetServing(true);
  EXPECT_EQ(Health(server), kServing);
  v1::Teacher response;
  EXPECT_THAT(server.GetTeacher(&response), IsOk());
}

TEST(TeacherLifecycle, NewCallsAreUnavailableWithRetryInfoWhileDraining) {
  TeacherServer server;
  server.SetTeacher(std::make_shared<FakeTeacher>(32, nullptr));
  server.host().Drain();
  for (const grpc::Status& status : CallEach(server)) {
    ExpectUnavailableWithRetryInfo(status, "draining");
  }
  server.server().SetServing(false);
  EXPECT_EQ(Health(server), kNotServing);
}

TEST(TeacherLifecycle, AStreamEndsAtAChunkBorderWhenDrained) {
  Gate gate;
  FakeTeacherProbe probe;
  probe.before = [&](int64_t call) {
    if (call == 1) gate.Pass();
    return absl::OkStatus();
  };
  TeacherServer server;
  server.SetTeacher(std::make_shared<FakeTeacher>(32, &probe));
  std::thread drainer([&] {
    gate.AwaitArrival();
    server.host().Drain();
    gate.Open();
  });
  const ReadStream stream = ReadWholeStream(server, StreamRequest());
  drainer.join();
  EXPECT_THAT(stream.status, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("draining")));
  EXPECT_TRUE(stream.trailers.empty());
  // Whole cuts of 32 rows of 10 float32, and not all of the 100 rows.
  EXPECT_EQ(stream.bytes.size() % (32 * 10 * 4), 0U);
  EXPECT_LT(stream.bytes.size(), 100U * 10 * 4);
}

}  // namespace
}  // namespace distillery
