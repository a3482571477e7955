// Calls that their clients leave: past the deadline, or cancelled.
#include <dirent.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "absl/time/clock.h"
#include "tests/common/sanitized.h"
#include "tests/teacher_service/rpc/teacher_server.h"
#include "tests/teacher_service/teachers/gate.h"

namespace distillery {
namespace {

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

TEST(LeftCalls, Fault24_WorkPastItsDeadlineIsDroppedBeforeTheDevice) {
  Gate gate;
  FakeTeacherProbe probe;
  probe.before = [&](int64_t call) {
    if (call == 0) gate.Pass();
    return absl::OkStatus();
  };
  TeacherServer server;  // one compute slot
  server.SetTeacher(std::make_shared<FakeTeacher>(32, &probe));
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
  grpc::ClientContext context;
  const absl::Time deadline = absl::Now() + absl::Milliseconds(1);
  context.set_deadline(absl::ToChronoTime(deadline));
  const auto reader = server.stub().StreamSoftTargets(&context, StreamRequest());
  v1::StreamSoftTargetsResponse message;
  EXPECT_FALSE(reader->Read(&message));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  // The server's clock counts in steps of a millisecond: other calls go on until it must be past.
  while (absl::Now() < deadline + absl::Milliseconds(5)) {
    v1::Teacher response;
    EXPECT_THAT(server.GetTeacher(&response), IsOk());
  }
  gate.Open();
  busy.join();
  v1::ComputeSoftTargetsResponse response;
  EXPECT_THAT(server.Compute(ComputeRequest(), &response), IsOk());
  EXPECT_EQ(probe.calls.load(), 2);  // the busy call and the last one
}

TEST(LeftCalls, ACancelledStreamLeavesTheServiceUsable) {
  Gate gate;
  FakeTeacherProbe probe;
  probe.before = [&](int64_t call) {
    if (call == 1) gate.Pass();
    return absl::OkStatus();
  };
  TeacherServer server;
  server.SetTeacher(std::make_shared<FakeTeacher>(32, &probe));
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

TEST(LeftCalls, Fault25_AThousandCancelledStreamsLeaveNothingBehind) {
  TeacherServer server;
  server.SetTeacher(std::make_shared<FakeTeacher>(/*batch_rows=*/8, nullptr));
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
  // gRPC's own pool may add two threads a core; one a stream would be a thousand.
  EXPECT_LE(CountEntries("/proc/self/task"), threads + 8 + 2 * std::thread::hardware_concurrency());
  if (!kAddressSanitizer) {
    EXPECT_LE(ResidentBytes(), resident + (16 << 20));
  }
}

}  // namespace
}  // namespace distillery
