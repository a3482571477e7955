#include "student_worker/teachers/teacher_set.h"

#include "tests/common/status_matchers.h"
#include "tests/student_worker/teachers/fake_resolver.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

const std::string kA = "10.0.0.1:7001";
const std::string kB = "10.0.0.2:7001";
const absl::Status kAway = absl::UnavailableError("away");

class TeacherSetTest : public ::testing::Test {
 protected:
  std::unique_ptr<TeacherSet> Make(const std::string& list) {
    TeacherAddresses::Options addresses;
    addresses.clock = &clock_;
    TeacherSet::Options options;
    options.clock = &clock_;
    return std::make_unique<TeacherSet>(*TeacherAddresses::Create(list, resolver_, addresses),
                                        options);
  }
  static TeacherSet::Question About(int64_t shard, const std::string& digest = "") {
    TeacherSet::Question question;
    question.key = {"data", shard, 0};
    question.teacher_digest = digest;
    return question;
  }
  // Target of the best teacher, "" if there is none.
  static std::string Pick(TeacherSet& set, const TeacherSet::Question& question) {
    const auto picked = set.Pick(question);
    return picked.has_value() ? picked->target : "";
  }

  FakeClock clock_;
  std::shared_ptr<FakeResolver> resolver_ = std::make_shared<FakeResolver>();
};

TEST_F(TeacherSetTest, EachShardHasItsTeacherByRendezvous) {
  const auto set = Make(kA + "," + kB);
  for (int64_t shard = 0; shard < 50; ++shard) {
    EXPECT_EQ(Pick(*set, About(shard)), RendezvousOrder({"data", shard, 0}, {kA, kB}).front());
  }
}

TEST_F(TeacherSetTest, OneThatFailedIsLeftAloneForATimeThatGrows) {
  const auto set = Make(kA);
  EXPECT_EQ(Pick(*set, About(0)), kA);
  EXPECT_TRUE(set->Failed(kA, kAway, /*progress=*/false));
  EXPECT_EQ(Pick(*set, About(0)), "");
  clock_.Advance(absl::Milliseconds(100));  // at most that after the first failure
  EXPECT_EQ(Pick(*set, About(0)), kA);
  EXPECT_FALSE(set->Failed(kA, kAway, false));
  clock_.Advance(absl::Milliseconds(99));  // at least 100 after the second
  EXPECT_EQ(Pick(*set, About(0)), "");
  for (int i = 0; i < 10; ++i) set->Failed(kA, kAway, false);
  clock_.Advance(absl::Seconds(2.4));  // at least 2.5 in the end
  EXPECT_EQ(Pick(*set, About(0)), "");
  clock_.Advance(absl::Seconds(2.6));
  EXPECT_EQ(Pick(*set, About(0)), kA);
}

TEST_F(TeacherSetTest, ProgressAndSuccessMakeTheTimeShortAgain) {
  const auto set = Make(kA);
  (void)Pick(*set, About(0));
  for (int i = 0; i < 10; ++i) set->Failed(kA, kAway, false);
  set->Failed(kA, kAway, /*progress=*/true);
  clock_.Advance(absl::Milliseconds(100));
  EXPECT_EQ(Pick(*set, About(0)), kA);
  for (int i = 0; i < 10; ++i) set->Failed(kA, kAway, false);
  EXPECT_TRUE(set->Succeeded(kA));
  EXPECT_FALSE(set->Succeeded(kA));
  EXPECT_TRUE(set->Failed(kA, kAway, false));
  clock_.Advance(absl::Milliseconds(100));
  EXPECT_EQ(Pick(*set, About(0)), kA);
}

TEST_F(TeacherSetTest, TheOtherHasAllShardsWhileOneIsAway) {
  const auto set = Make(kA + "," + kB);
  (void)Pick(*set, About(0));
  set->Failed(kA, kAway, false);
  for (int64_t shard = 0; shard < 50; ++shard) EXPECT_EQ(Pick(*set, About(shard)), kB);
}

TEST_F(TeacherSetTest, AnotherDigestIsLeftOutOfThatRunForAMinute) {
  const auto set = Make(kA);
  (void)Pick(*set, About(0));
  EXPECT_TRUE(set->LeaveOut(kA, "ours", "theirs"));
  EXPECT_EQ(Pick(*set, About(0, "ours")), "");
  EXPECT_EQ(Pick(*set, About(0, "theirs")), kA);
  EXPECT_EQ(Pick(*set, About(0)), kA);
  clock_.Advance(absl::Seconds(59.9));
  EXPECT_EQ(Pick(*set, About(0, "ours")), "");
  clock_.Advance(absl::Seconds(0.1));
  EXPECT_EQ(Pick(*set, About(0, "ours")), kA);
  EXPECT_FALSE(set->LeaveOut(kA, "ours", "theirs")) << "no news";
  EXPECT_TRUE(set->LeaveOut(kA, "ours", "yet another"));
}

TEST_F(TeacherSetTest, AnotherDigestIsOpenAgainWhenTheConnectionWasLost) {
  const auto set = Make(kA + "," + kB);
  (void)Pick(*set, About(0));
  EXPECT_THAT(set->Troubled(), IsEmpty());
  set->LeaveOut(kA, "ours", "theirs");
  EXPECT_THAT(set->Troubled(), ElementsAre(kA));
  set->ConnectionLost(kA);
  EXPECT_THAT(set->Troubled(), IsEmpty());
  set->Failed(kB, kAway, false);
  EXPECT_EQ(Pick(*set, About(0, "ours")), kA);
}

TEST_F(TeacherSetTest, OneWhoseConnectionIsBackNeedNotBeLeftAlone) {
  const auto set = Make(kA);
  (void)Pick(*set, About(0));
  set->Failed(kA, kAway, false);
  EXPECT_THAT(set->Troubled(), ElementsAre(kA));
  set->ConnectionLost(kA);
  EXPECT_EQ(Pick(*set, About(0)), "");
  set->ConnectionBack(kA);
  EXPECT_EQ(Pick(*set, About(0)), kA);
  EXPECT_TRUE(set->Succeeded(kA));
}

TEST_F(TeacherSetTest, SaysWhomItWaitsForAndHowLong) {
  const auto set = Make(kA + "," + kB);
  (void)Pick(*set, About(0));
  for (int i = 0; i < 10; ++i) set->Failed(kA, absl::UnavailableError("refused"), false);
  set->Failed(kB, absl::DeadlineExceededError("too slow"), false);
  const TeacherSet::Outlook outlook = set->Consider(About(0));
  EXPECT_THAT(outlook.status, IsOk());
  EXPECT_EQ(outlook.waiting_for, "teacher 10.0.0.1:7001: refused; teacher 10.0.0.2:7001: too slow");
  EXPECT_GE(outlook.wait, absl::Milliseconds(50));
  EXPECT_LE(outlook.wait, absl::Milliseconds(100));
}

TEST_F(TeacherSetTest, WaitsForOneThatIsAwayEvenIfTheOtherHasAnotherDigest) {
  const auto set = Make(kA + "," + kB);
  (void)Pick(*set, About(0));
  set->LeaveOut(kA, "ours", "theirs");
  set->Failed(kB, kAway, false);
  const TeacherSet::Outlook outlook = set->Consider(About(0, "ours"));
  EXPECT_THAT(outlook.status, IsOk());
  EXPECT_EQ(outlook.waiting_for, "teacher 10.0.0.2:7001: away");
}

TEST_F(TeacherSetTest, NamesAllDigestsIfNoneIsTheExpectedOne) {
  const auto set = Make(kA + "," + kB);
  (void)Pick(*set, About(0));
  set->LeaveOut(kA, "ours", "theirs");
  set->LeaveOut(kB, "ours", "other");
  EXPECT_THAT(set->Consider(About(0, "ours")).status,
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       "no teacher has digest ours: 10.0.0.1:7001 has theirs, 10.0.0.2:7001 has "
                       "other"));
  const auto single = Make(kA);
  (void)Pick(*single, About(0));
  single->LeaveOut(kA, "ours", "theirs");
  EXPECT_THAT(
      single->Consider(About(0, "ours")).status,
      StatusIs(absl::StatusCode::kFailedPrecondition, "teacher digest is theirs, expected ours"));
}

TEST_F(TeacherSetTest, ARefusalIsTheAnswerOnceNobodyElseCanGiveOne) {
  const auto set = Make(kA + "," + kB);
  TeacherSet::Question question = About(0);
  question.refusals[kA] = absl::NotFoundError("no such shard");
  EXPECT_EQ(Pick(*set, question), kB);
  set->Failed(kB, kAway, false);
  EXPECT_EQ(Pick(*set, question), "");
  EXPECT_EQ(set->Consider(question).waiting_for, "teacher 10.0.0.2:7001: away");
  question.refusals[kB] = absl::NotFoundError("nor here");
  EXPECT_THAT(set->Consider(question).status,
              StatusIs(absl::StatusCode::kNotFound, "no such shard"));
  EXPECT_EQ(Pick(*set, About(1)) != "", true) << "of other shards nothing was said";
}

TEST_F(TeacherSetTest, TeachersComeAndGoWithTheirName) {
  resolver_->Set("teachers", {"10.0.0.1", "10.0.0.2"});
  const auto set = Make("teachers:7001");
  const auto known = [&] {
    (void)set->Pick(About(0));
    std::vector<std::string> targets;
    for (const std::string& target : {kA, kB, std::string("10.0.0.3:7001")}) {
      if (set->Knows(target)) targets.push_back(target);
    }
    return targets;
  };
  const auto await = [&](const std::vector<std::string>& expected) {
    const absl::Duration end = Clock::Real()->SteadyNow() + absl::Seconds(20);
    while (known() != expected && Clock::Real()->SteadyNow() < end) {
      set->AwaitNews(absl::Milliseconds(10));
    }
    EXPECT_EQ(known(), expected);
  };
  EXPECT_EQ(set->Consider(About(0)).waiting_for, "") << "too early to tell";
  await({kA, kB});
  set->Failed(kA, kAway, false);
  resolver_->Set("teachers", {"10.0.0.2", "10.0.0.3"});
  clock_.Advance(absl::Seconds(1));  // a failure makes the next look-up early
  await({kB, "10.0.0.3:7001"});
  EXPECT_FALSE(set->Failed(kA, kAway, false)) << "forgotten";
}

TEST_F(TeacherSetTest, SaysThatItWaitsForANameWithoutAddress) {
  const auto set = Make("teachers:7001");
  const absl::Duration end = Clock::Real()->SteadyNow() + absl::Seconds(20);
  while (set->Consider(About(0)).waiting_for.empty() && Clock::Real()->SteadyNow() < end) {
    EXPECT_EQ(Pick(*set, About(0)), "");
    set->AwaitNews(absl::Milliseconds(10));
  }
  const TeacherSet::Outlook outlook = set->Consider(About(0));
  EXPECT_THAT(outlook.status, IsOk());
  EXPECT_EQ(outlook.waiting_for, "teacher teachers:7001 (no such host)");
}

}  // namespace
}  // namespace distillery
