// TeacherClient and the real service.
#include "student_worker/rpc/teacher_client.h"

#include "common/data/catalog.h"
#include "common/rpc/transport.h"
#include "common/soft_targets/decode.h"
#include "common/soft_targets/encode.h"
#include "tests/teacher_service/rpc/teacher_server.h"
#include "tests/teacher_service/teachers/gate.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

bool Never() { return false; }

class TeacherClientTest : public ::testing::Test {
 protected:
  TeacherClientTest() : dataset_(*catalog_.Open({"digits", "train", 100})) {}

  std::unique_ptr<TeacherClient> Client() {
    teachers_ = TeacherChannels::Of(server_.channel(), "teacher:7001");
    return std::make_unique<TeacherClient>(teachers_.get(), &canceller_,
                                           [this](const std::string& text) {
                                             told_.push_back(text);
                                             if (when_waiting_ && !text.empty()) when_waiting_();
                                           });
  }
  ShardRequest Request(int64_t shard = 0) {
    ShardRequest request;
    request.dataset = dataset_->reference();
    request.dataset_digest = dataset_->digest();
    request.shard = shard;
    request.row_count = 100;
    request.class_count = 10;
    request.format.temperature = 2;
    return request;
  }

  DatasetCatalog catalog_{""};
  std::shared_ptr<const Dataset> dataset_;
  Gate gate_;
  FakeTeacherProbe probe_;
  TeacherServer server_;
  std::unique_ptr<TeacherChannels> teachers_;
  CallCanceller canceller_;
  // What `waiting` was told.
  std::vector<std::string> told_;
  std::function<void()> when_waiting_;
};

TEST_F(TeacherClientTest, ReadsAWholeShardOfScaledLogits) {
  server_.SetTeacher(std::make_shared<FakeTeacher>(32, &probe_));
  ShardRequest request = Request();
  SoftTargetRows rows;  // replaced, not appended to
  rows.row_count = 1;
  rows.values = std::vector<float>(10);
  ASSERT_THAT(Client()->ReadShard(&request, Never, &rows), IsOk());
  EXPECT_EQ(rows.values, Floats(ReadWholeStream(server_, StreamRequest()).bytes));  // T = 2 too
  EXPECT_EQ(rows.row_count, 100);
  EXPECT_EQ(request.teacher_digest, "fake-teacher-digest");
  EXPECT_TRUE(told_.empty());
}

TEST_F(TeacherClientTest, ReadsEachEncoding) {
  server_.SetTeacher(std::make_shared<FakeTeacher>(32, &probe_));
  ShardRequest request = Request();
  request.format.temperature = 1;
  SoftTargetRows raw;
  ASSERT_THAT(Client()->ReadShard(&request, Never, &raw), IsOk());
  request.format.temperature = 3;
  for (const Encoding encoding : {Encoding::kFloat16, Encoding::kInt8, Encoding::kTopK}) {
    SCOPED_TRACE(EncodingName(encoding));
    request.format.encoding = encoding;
    request.format.top_k = encoding == Encoding::kTopK ? 4 : 0;
    const EncodedRows encoded = EncodeSoftTargets(raw.values.data(), 100, 10, request.format);
    SoftTargetRows expected;
    ASSERT_THAT(AppendDecoded(EncodedView(encoded), 100, 10, request.format, &expected), IsOk());
    SoftTargetRows rows;
    ASSERT_THAT(Client()->ReadShard(&request, Never, &rows), IsOk());
    EXPECT_EQ(rows.row_count, 100);
    EXPECT_EQ(rows.values, expected.values);
    EXPECT_EQ(rows.probabilities, expected.probabilities);
    EXPECT_EQ(rows.class_indexes, expected.class_indexes);
    EXPECT_EQ(rows.tail_mass, expected.tail_mass);
  }
}

TEST_F(TeacherClientTest, WaitsForATeacherThatIsLoadingAndSaysSo) {
  when_waiting_ = [&] {
    if (told_.size() == 1) {
      server_.SetTeacher(std::make_shared<FakeTeacher>(32, &probe_));
    }
  };
  ShardRequest request = Request();
  SoftTargetRows rows;
  ASSERT_THAT(Client()->ReadShard(&request, Never, &rows), IsOk());
  EXPECT_EQ(rows.row_count, 100);
  EXPECT_THAT(told_, ElementsAre("waiting for teacher teacher:7001: the teacher is loading model "
                                 "fake",
                                 ""));
}

TEST_F(TeacherClientTest, EndsAtCancelWhileItWaits) {
  bool cancelled = false;
  when_waiting_ = [&] { cancelled = true; };
  ShardRequest request = Request();
  SoftTargetRows rows;
  EXPECT_THAT(Client()->ReadShard(
                  &request, [&] { return cancelled; }, &rows),
              StatusIs(absl::StatusCode::kCancelled));
  EXPECT_EQ(told_.size(), 1U);
}

TEST_F(TeacherClientTest, WaitsForATeacherThatNobodyServes) {
  // Port 1 is reserved and refuses at once.
  ASSERT_OK_AND_ASSIGN(const auto teachers, TeacherChannels::Open("127.0.0.1:1", {}, nullptr));
  bool cancelled = false;
  TeacherClient client(teachers.get(), &canceller_, [&](const std::string& text) {
    told_.push_back(text);
    cancelled = true;
  });
  ShardRequest request = Request();
  SoftTargetRows rows;
  EXPECT_THAT(client.ReadShard(
                  &request, [&] { return cancelled; }, &rows),
              StatusIs(absl::StatusCode::kCancelled));
  EXPECT_THAT(told_, ElementsAre(HasSubstr("waiting for teacher 127.0.0.1:1: ")));
}

TEST_F(TeacherClientTest, CancelBreaksACallInFlight) {
  probe_.before = [&](int64_t) {
    gate_.Pass();
    return absl::OkStatus();
  };
  server_.SetTeacher(std::make_shared<FakeTeacher>(32, &probe_));
  std::atomic<bool> cancelled{false};
  std::thread stopper([&] {
    gate_.AwaitArrival();
    cancelled.store(true);
    canceller_.CancelAll();
  });
  ShardRequest request = Request();
  SoftTargetRows rows;
  EXPECT_THAT(Client()->ReadShard(
                  &request, [&] { return cancelled.load(); }, &rows),
              StatusIs(absl::StatusCode::kCancelled));
  stopper.join();
  gate_.Open();
}

TEST_F(TeacherClientTest, AnotherTeacherIsAFailedPrecondition) {
  server_.SetTeacher(std::make_shared<FakeTeacher>(32, &probe_));
  ShardRequest request = Request();
  request.teacher_digest = "the run's teacher";
  SoftTargetRows rows;
  EXPECT_THAT(Client()->ReadShard(&request, Never, &rows),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("teacher digest")));
  EXPECT_EQ(probe_.calls.load(), 0);
}

TEST_F(TeacherClientTest, AnotherDataSetIsAFailedPrecondition) {
  server_.SetTeacher(std::make_shared<FakeTeacher>(32, &probe_));
  ShardRequest request = Request();
  request.dataset_digest = "our data";
  SoftTargetRows rows;
  EXPECT_THAT(Client()->ReadShard(&request, Never, &rows),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("dataset digest")));
}

TEST_F(TeacherClientTest, WhatTheTeacherRefusesIsNotRepeated) {
  server_.SetTeacher(std::make_shared<FakeTeacher>(32, &probe_));
  ShardRequest request = Request(/*shard=*/14);
  SoftTargetRows rows;
  EXPECT_THAT(Client()->ReadShard(&request, Never, &rows), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_TRUE(told_.empty());
}

}  // namespace
}  // namespace distillery
