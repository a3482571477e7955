// TeacherClient and a teacher that is started anew, over real connections. Time stands still for
// all but gRPC, so nothing that is seen here waited for a back-off of ours.
#include "student_worker/rpc/teacher_client.h"
#include "tests/student_worker/rpc/scripted_teacher.h"
#include "tests/student_worker/teachers/fake_resolver.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class TeacherRestart : public ::testing::Test {
 protected:
  void Start(const std::string& digest, const std::string& address) {
    teacher_ = std::make_unique<ScriptedTeacher>(
        [digest](size_t, const v1::StreamSoftTargetsRequest& request,
                 ScriptedTeacher::Writer* writer) { return ServeShard(request, writer, digest); },
        address);
  }
  // Connects to the teacher that runs now.
  void Connect() {
    TeacherAddresses::Options addresses;
    addresses.clock = &clock_;
    TeacherSet::Options options;
    options.clock = &clock_;
    teachers_ = std::make_unique<TeacherChannels>(
        std::make_unique<TeacherSet>(
            *TeacherAddresses::Create(teacher_->address(), std::make_shared<FakeResolver>(),
                                      addresses),
            options),
        [](const TeacherAddress& address) { return Connection::Open(address.target, {}); });
    client_ = std::make_unique<TeacherClient>(teachers_.get(), &canceller_,
                                              [this](const std::string& text) {
                                                told_.push_back(text);
                                                if (when_told_) when_told_();
                                              });
  }
  absl::Status Read() {
    ShardRequest request = ScriptRequest();
    request.teacher_digest = "teacher";
    const absl::Duration end = Clock::Real()->SteadyNow() + kPatience;
    return client_->ReadShard(
        &request, [end] { return Clock::Real()->SteadyNow() >= end; }, &rows_);
  }

  FakeClock clock_;
  CallCanceller canceller_;
  std::unique_ptr<ScriptedTeacher> teacher_;
  std::unique_ptr<TeacherChannels> teachers_;
  std::unique_ptr<TeacherClient> client_;
  SoftTargetRows rows_;
  std::vector<std::string> told_;
  std::function<void()> when_told_;
};

TEST_F(TeacherRestart, IsAskedAsSoonAsItsConnectionIsBack) {
  Start("teacher", "127.0.0.1:0");
  Connect();
  ASSERT_THAT(Read(), IsOk());
  const std::string address = teacher_->address();
  teacher_.reset();
  when_told_ = [&] {
    if (teacher_ == nullptr) Start("teacher", address);
  };
  ASSERT_THAT(Read(), IsOk());
  EXPECT_THAT(told_, ElementsAre(HasSubstr("waiting for teacher " + address), ""));
}

TEST_F(TeacherRestart, WithTheRightModelIsAskedThoughItWasLeftOut) {
  Start("impostor", "127.0.0.1:0");
  Connect();
  EXPECT_THAT(Read(), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("impostor")));
  EXPECT_THAT(Read(), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("impostor")));
  EXPECT_EQ(teacher_->requests().size(), 1U) << "left out";
  const std::string address = teacher_->address();
  teacher_.reset();
  Start("teacher", address);
  // The news of the lost connection may take a moment.
  const absl::Duration end = Clock::Real()->SteadyNow() + kPatience;
  absl::Status status = Read();
  while (absl::IsFailedPrecondition(status) && Clock::Real()->SteadyNow() < end) status = Read();
  EXPECT_THAT(status, IsOk());
}

}  // namespace
}  // namespace distillery
