#include "teacher_service/teachers/replicated_teacher.h"

#include <thread>

#include "absl/strings/str_cat.h"
#include "teacher_service/compute_scheduler.h"
#include "tests/common/log_lines.h"
#include "tests/common/status_matchers.h"
#include "tests/teacher_service/teachers/fake_teacher.h"
#include "tests/teacher_service/teachers/gate.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class ReplicatedTeacherTest : public ::testing::Test {
 protected:
  std::shared_ptr<Teacher> Make(const std::vector<FakeTeacherProbe*>& probes) {
    std::vector<TeacherReplica> replicas;
    for (FakeTeacherProbe* const probe : probes) {
      replicas.push_back({absl::StrCat("cuda:", replicas.size()),
                          std::make_shared<FakeTeacher>(/*batch_rows=*/32, probe)});
    }
    auto teacher = MakeReplicatedTeacher(std::move(replicas));
    EXPECT_THAT(teacher, IsOk());
    return *teacher;
  }
  absl::Status Compute(Teacher& teacher) {
    std::vector<float> logits(kFakeClasses);
    return teacher.ComputeLogits(inputs_.data(), 1, logits.data());
  }
  const std::vector<float> inputs_ = std::vector<float>(kFakePixels, 0.5F);
  FakeTeacherProbe first_;
  FakeTeacherProbe second_;
};

TEST_F(ReplicatedTeacherTest, AnswersAsOneTeacher) {
  const auto teacher = Make({&first_, &second_});
  EXPECT_EQ(teacher->info().digest, "fake-teacher-digest");
  std::vector<float> logits(kFakeClasses);
  ASSERT_THAT(teacher->ComputeLogits(inputs_.data(), 1, logits.data()), IsOk());
  EXPECT_EQ(logits[3], FakeTeacher::Logit(inputs_.data(), 1, 0, 3));
}

TEST_F(ReplicatedTeacherTest, ABatchGoesWhereFewestAreUnderWay) {
  Gate gate;
  first_.before = [&](int64_t /*call*/) {
    gate.Pass();
    return absl::OkStatus();
  };
  const auto teacher = Make({&first_, &second_});
  std::thread busy([&] { EXPECT_THAT(Compute(*teacher), IsOk()); });
  gate.AwaitArrival();
  EXPECT_THAT(Compute(*teacher), IsOk());
  EXPECT_EQ(first_.calls, 1);
  EXPECT_EQ(second_.calls, 1);
  gate.Open();
  busy.join();
}

TEST_F(ReplicatedTeacherTest, SchedulersSlotsKeepBothBusy) {
  // Each device's batch waits for the other's: it ends only if both work at once.
  Gate first_there;
  Gate second_there;
  first_.before = [&](int64_t call) {
    if (call > 0) return absl::OkStatus();
    second_there.Open();
    first_there.Pass();
    return absl::OkStatus();
  };
  second_.before = [&](int64_t call) {
    if (call > 0) return absl::OkStatus();
    first_there.Open();
    second_there.Pass();
    return absl::OkStatus();
  };
  const std::shared_ptr<Teacher> teacher = Make({&first_, &second_});
  ComputeScheduler::Options options;
  options.slots = 2;
  ComputeScheduler scheduler(options, Clock::Real());
  std::atomic<int> left{2};
  Gate done;
  for (int i = 0; i < 2; ++i) {
    CutWork cut;
    cut.teacher = teacher;
    cut.rows = 1;
    cut.run = [&](const absl::Status& dropped) {
      EXPECT_THAT(dropped, IsOk());
      std::vector<float> logits(kFakeClasses);
      EXPECT_THAT(scheduler.Compute(*teacher, inputs_.data(), 1, logits.data(), Lane::kStream),
                  IsOk());
      if (--left == 0) done.Open();
    };
    scheduler.AddCut(std::move(cut));
  }
  done.Pass();
  scheduler.Close();
  EXPECT_EQ(first_.calls, 1);
  EXPECT_EQ(second_.calls, 1);
}

TEST_F(ReplicatedTeacherTest, ADeviceThatFailsAloneIsLeftOut) {
  first_.before = [](int64_t /*call*/) { return absl::InternalError("cuda:0: ECC error"); };
  const auto teacher = Make({&first_, &second_});
  const LogLines log;
  for (int i = 0; i < 10; ++i) EXPECT_THAT(Compute(*teacher), IsOk());
  EXPECT_EQ(first_.calls, kMostFailures);
  EXPECT_EQ(second_.calls, 10);
  ASSERT_EQ(log.Of("error").size(), 1U);
  EXPECT_THAT(log.Of("error")[0], AllOf(HasSubstr("cuda:0 is left out"), HasSubstr("ECC error")));
}

TEST_F(ReplicatedTeacherTest, ADeviceThatFailsNowAndThenStays) {
  first_.before = [](int64_t call) {
    return call % 3 == 2 ? absl::OkStatus() : absl::InternalError("odd");
  };
  const auto teacher = Make({&first_, &second_});
  for (int i = 0; i < 30; ++i) EXPECT_THAT(Compute(*teacher), IsOk());
  EXPECT_EQ(first_.calls, 30);
}

TEST_F(ReplicatedTeacherTest, WhatFailsEverywhereIsNoDevicesFault) {
  first_.before = [](int64_t /*call*/) { return absl::InternalError("cuda:0: the model threw"); };
  second_.before = [](int64_t call) {
    return call < 10 ? absl::InternalError("cuda:1: the model threw") : absl::OkStatus();
  };
  const auto teacher = Make({&first_, &second_});
  for (int i = 0; i < 10; ++i) {
    EXPECT_THAT(Compute(*teacher),
                StatusIs(absl::StatusCode::kInternal, "cuda:0: the model threw"));
  }
  EXPECT_EQ(first_.calls, 10) << "it is still asked";
}

TEST_F(ReplicatedTeacherTest, TheLastDeviceIsNeverLeftOut) {
  first_.before = [](int64_t /*call*/) { return absl::InternalError("dead"); };
  second_.before = [](int64_t call) {
    return call < kMostFailures ? absl::OkStatus() : absl::InternalError("dead too");
  };
  const auto teacher = Make({&first_, &second_});
  for (int i = 0; i < kMostFailures; ++i) EXPECT_THAT(Compute(*teacher), IsOk());
  for (int i = 0; i < 2 * kMostFailures; ++i) {
    EXPECT_THAT(Compute(*teacher), StatusIs(absl::StatusCode::kInternal, "dead too"));
  }
  EXPECT_EQ(first_.calls, kMostFailures);
}

TEST_F(ReplicatedTeacherTest, NoMemoryIsTheCallersToSplit) {
  first_.before = [](int64_t /*call*/) { return absl::ResourceExhaustedError("no memory"); };
  const auto teacher = Make({&first_, &second_});
  EXPECT_THAT(Compute(*teacher), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(second_.calls, 0);
}

TEST_F(ReplicatedTeacherTest, Fault52_ADeviceWhoseRowsAreNotFiniteIsAskedNoMore) {
  first_.unfinite = [](const float* /*pixels*/) { return true; };
  const auto teacher = Make({&first_, &second_});
  for (int i = 0; i < 10; ++i) {
    std::vector<float> logits(kFakeClasses);
    ASSERT_THAT(teacher->ComputeLogits(inputs_.data(), 1, logits.data()), IsOk());
    EXPECT_EQ(logits[3], FakeTeacher::Logit(inputs_.data(), 1, 0, 3));
  }
  EXPECT_EQ(first_.calls, kMostFailures);
}

TEST_F(ReplicatedTeacherTest, Fault52_ARowThatIsFiniteNowhereIsNoDevicesFault) {
  for (FakeTeacherProbe* const probe : {&first_, &second_}) {
    probe->unfinite = [](const float* pixels) { return pixels[0] == 1; };
  }
  const auto teacher = Make({&first_, &second_});
  std::vector<float> inputs(2 * kFakePixels, 0.5F);
  inputs[kFakePixels] = 1;
  for (int i = 0; i < 10; ++i) {
    std::vector<float> logits(2 * kFakeClasses);
    ASSERT_THAT(teacher->ComputeLogits(inputs.data(), 2, logits.data()), IsOk());
    EXPECT_EQ(logits[3], FakeTeacher::Logit(inputs.data(), 2, 0, 3));
    EXPECT_TRUE(std::isnan(logits[kFakeClasses + 3]));
  }
  EXPECT_EQ(first_.calls, 10) << "it is still asked";
  EXPECT_EQ(second_.calls, 10);
}

TEST_F(ReplicatedTeacherTest, UnlikeDevicesAreRefused) {
  auto other = std::make_shared<FakeTeacher>(32, nullptr);
  other->set_digest("another");
  EXPECT_THAT(MakeReplicatedTeacher(
                  {{"cuda:0", std::make_shared<FakeTeacher>(32, nullptr)}, {"cuda:1", other}})
                  .status(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("cuda:0"), HasSubstr("cuda:1"))));
}

}  // namespace
}  // namespace distillery
