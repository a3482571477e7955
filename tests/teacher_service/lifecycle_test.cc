// The teacher while it loads, drains, and is left by its clients.
#include <dirent.h>
#include <unistd.h>

#include <fstream>

#include "absl/time/clock.h"
#include "tests/common/temporary_folder.h"
#include "tests/teacher_service/gate.h"
#include "tests/teacher_service/teacher_server.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

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

int64_t CountEntries(const char* folder) {
  int64_t count = 0;
  DIR* const handle = opendir(folder);
  while (readdir(handle) != nullptr) ++count;
  closedir(handle);
  return count;
}

int64_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t pages = 0;
  statm >> pages >> pages;  // size, resident
  return pages * sysconf(_SC_PAGESIZE);
}

TEST(TeacherLifecycle, Fault10_CallsAreUnavailableWithRetryInfoUntilTheTeacherIsWarm) {
  TeacherServer server;
  EXPECT_EQ(Health(server), kNotServing);
  for (const grpc::Status& status : CallEach(server)) {
    ExpectUnavailableWithRetryInfo(status, "loading");
  }
  server.service().SetTeacher(std::make_unique<FakeTeacher>(32, nullptr));
  EXPECT_EQ(Health(server), kNotServing);
  server.server().SetServing(true);
  EXPECT_EQ(Health(server), kServing);
  v1::GetTeacherResponse response;
  EXPECT_THAT(server.GetTeacher(&response), IsOk());
}

TEST(TeacherLifecycle, NewCallsAreUnavailableWithRetryInfoWhileDraining) {
  TeacherServer server;
  server.service().SetTeacher(std::make_unique<FakeTeacher>(32, nullptr));
  server.service().Drain();
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
  server.service().SetTeacher(std::make_unique<FakeTeacher>(32, &probe));
  std::thread drainer([&] {
    gate.AwaitArrival();
    server.service().Drain();
    gate.Open();
  });
  const ReadStream stream = ReadWholeStream(server, StreamRequest());
  drainer.join();
  EXPECT_THAT(stream.status, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("draining")));
  EXPECT_TRUE(stream.trailers.empty());
  // The cut that was being computed is sent: 2 cuts of 32 rows of 10 float32.
  EXPECT_EQ(stream.bytes.size(), 2U * 32 * 10 * 4);
}

TEST(TeacherLifecycle, Fault24_WorkPastItsDeadlineIsDroppedBeforeTheDevice) {
  Gate gate;
  FakeTeacherProbe probe;
  probe.before = [&](int64_t call) {
    if (call == 0) gate.Pass();
    return absl::OkStatus();
  };
  TeacherServer server;  // one compute slot
  server.service().SetTeacher(std::make_unique<FakeTeacher>(32, &probe));
  std::thread busy([&] {
    v1::ComputeSoftTargetsResponse response;
    EXPECT_THAT(server.Compute(ComputeRequest(), &response), IsOk());
  });
  gate.AwaitArrival();
  // Both wait behind the busy slot until their deadline.
  {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Milliseconds(1)));
    v1::ComputeSoftTargetsResponse response;
    EXPECT_EQ(server.stub().ComputeSoftTargets(&context, ComputeRequest(), &response).error_code(),
              grpc::StatusCode::DEADLINE_EXCEEDED);
  }
  {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Milliseconds(1)));
    const auto reader = server.stub().StreamSoftTargets(&context, StreamRequest());
    v1::StreamSoftTargetsResponse message;
    EXPECT_FALSE(reader->Read(&message));
    EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  }
  // Each answer passes through the server's threads, so the news of the deadlines has come.
  for (int i = 0; i < 100; ++i) {
    v1::GetTeacherResponse response;
    EXPECT_THAT(server.GetTeacher(&response), IsOk());
  }
  gate.Open();
  busy.join();
  v1::ComputeSoftTargetsResponse response;
  EXPECT_THAT(server.Compute(ComputeRequest(), &response), IsOk());
  EXPECT_EQ(probe.calls.load(), 2);  // the busy call and the last one
}

TEST(TeacherLifecycle, ACancelledStreamLeavesTheServiceUsable) {
  Gate gate;
  FakeTeacherProbe probe;
  probe.before = [&](int64_t call) {
    if (call == 1) gate.Pass();
    return absl::OkStatus();
  };
  TeacherServer server;
  server.service().SetTeacher(std::make_unique<FakeTeacher>(32, &probe));
  grpc::ClientContext context;
  const auto reader = server.stub().StreamSoftTargets(&context, StreamRequest());
  v1::StreamSoftTargetsResponse message;
  EXPECT_TRUE(reader->Read(&message));  // the header
  gate.AwaitArrival();                  // the second of four cuts is being computed
  context.TryCancel();
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  gate.Open();
  EXPECT_THAT(ReadWholeStream(server, StreamRequest()).status, IsOk());
}

TEST(TeacherLifecycle, Fault25_AThousandCancelledStreamsLeaveNothingBehind) {
  TeacherServer server;
  server.service().SetTeacher(std::make_unique<FakeTeacher>(/*batch_rows=*/8, nullptr));
  const auto cancel_one = [&](int i) {
    grpc::ClientContext context;
    const auto reader = server.stub().StreamSoftTargets(&context, StreamRequest());
    v1::StreamSoftTargetsResponse message;
    // Before the first message, after the header, or in the middle: of 15 messages at most 5.
    for (int read = 0; read < i % 6; ++read) EXPECT_TRUE(reader->Read(&message));
    context.TryCancel();
    EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED) << i;
  };
  for (int i = 0; i < 100; ++i) cancel_one(i);
  const int64_t descriptors = CountEntries("/proc/self/fd");
  const int64_t threads = CountEntries("/proc/self/task");
  const int64_t resident = ResidentBytes();
  for (int i = 0; i < 1000; ++i) cancel_one(i);
  EXPECT_THAT(ReadWholeStream(server, StreamRequest()).status, IsOk());
  EXPECT_LE(CountEntries("/proc/self/fd"), descriptors);
  // gRPC's own pool may add a thread or two; one a stream would be a thousand.
  EXPECT_LE(CountEntries("/proc/self/task"), threads + 8);
  EXPECT_LE(ResidentBytes(), resident + (16 << 20));
}

TEST(TeacherLifecycle, Fault32_ADamagedDataFileIsDataLossAndOtherDataGoOn) {
  const TemporaryFolder folder;
  ASSERT_THAT(mkdir(folder.File("broken").c_str(), 0700), 0);
  std::ofstream(folder.File("broken/train-images-idx3-ubyte"))
      << std::string("\0\0\x08\x03\0\0\0\x02\0\0\0\x08\0\0\0\x08", 16)  // 2 images of 8 x 8
      << std::string(100, '\1');                                        // 28 bytes too few
  std::ofstream(folder.File("broken/train-labels-idx1-ubyte"))
      << std::string("\0\0\x08\x01\0\0\0\x02\0\1", 10);
  std::ofstream(folder.File("broken/t10k-images-idx3-ubyte"))
      << std::string("\0\0\x08\x03\0\0\0\x01\0\0\0\x08\0\0\0\x08", 16) << std::string(64, '\1');
  std::ofstream(folder.File("broken/t10k-labels-idx1-ubyte"))
      << std::string("\0\0\x08\x01\0\0\0\x01\0", 9);
  TeacherServiceImpl::Options options;
  options.data_dir = folder.path();
  TeacherServer server(options);
  server.service().SetTeacher(std::make_unique<FakeTeacher>(32, nullptr));
  v1::StreamSoftTargetsRequest request = StreamRequest();
  request.mutable_dataset()->set_name("broken");
  const absl::Status status = ReadWholeStream(server, request).status;
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kDataLoss, HasSubstr("train-images-idx3-ubyte")));
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr(folder.path())));
  EXPECT_THAT(ReadWholeStream(server, StreamRequest()).status, IsOk());
}

}  // namespace
}  // namespace distillery
