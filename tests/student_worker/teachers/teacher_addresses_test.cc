#include "student_worker/teachers/teacher_addresses.h"

#include "tests/common/status_matchers.h"
#include "tests/student_worker/teachers/fake_resolver.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class TeacherAddressesTest : public ::testing::Test {
 protected:
  std::unique_ptr<TeacherAddresses> Make(const std::string& list) {
    TeacherAddresses::Options options;
    options.clock = &clock_;
    options.longest_goodbye = absl::ZeroDuration();
    auto addresses = TeacherAddresses::Create(list, resolver_, options);
    EXPECT_THAT(addresses, IsOk());
    return *std::move(addresses);
  }
  static std::vector<std::string> Targets(TeacherAddresses& addresses) {
    std::vector<std::string> targets;
    for (const TeacherAddress& address : addresses.Current()) targets.push_back(address.target);
    return targets;
  }
  // Starts a look-up if it is time for one, and waits for its end.
  static std::vector<std::string> LookUp(TeacherAddresses& addresses) {
    const int64_t before = addresses.look_up_count();
    (void)addresses.Current();
    const absl::Duration end = Clock::Real()->SteadyNow() + kPatience;
    while (addresses.look_up_count() == before && Clock::Real()->SteadyNow() < end) {
      addresses.AwaitNews(absl::Milliseconds(10));
    }
    EXPECT_EQ(addresses.look_up_count(), before + 1);
    return Targets(addresses);
  }

  FakeClock clock_;
  std::shared_ptr<FakeResolver> resolver_ = std::make_shared<FakeResolver>();
};

TEST_F(TeacherAddressesTest, AddressesAreTakenAsTheyAre) {
  const auto addresses = Make(
      "127.0.0.1:7001, 10.0.0.2:7002,[::1]:7003,localhost:7004,unix:/run/teacher,127.0.0.1:7001");
  EXPECT_THAT(Targets(*addresses), ElementsAre("127.0.0.1:7001", "10.0.0.2:7002", "[::1]:7003",
                                               "localhost:7004", "unix:/run/teacher"));
  EXPECT_EQ(addresses->Current()[0].label, "127.0.0.1:7001");
  EXPECT_EQ(addresses->Current()[0].host, "");
  EXPECT_THAT(addresses->Missing(), IsEmpty());
  EXPECT_FALSE(addresses->FirstLookUp());
  EXPECT_EQ(resolver_->calls(), 0);
}

TEST_F(TeacherAddressesTest, WhatIsNoAddressIsNamed) {
  for (const char* const bad : {"", "teacher", "teacher:", ":7001", "teacher:0", "teacher:65536",
                                "teacher:http", "a:1,,b:2", "a:1 b"}) {
    EXPECT_THAT(TeacherAddresses::Create(bad, resolver_, {}),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is no HOST:PORT")))
        << bad;
  }
  EXPECT_THAT(TeacherAddresses::Create("a:1,b", resolver_, {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("teacher \"b\"")));
}

TEST_F(TeacherAddressesTest, ANameStandsForAllItsAddresses) {
  resolver_->Set("teachers", {"10.0.0.1", "10.0.0.2", "fd00::3"});
  const auto addresses = Make("10.0.0.2:7001,teachers:7001");
  EXPECT_THAT(LookUp(*addresses), ElementsAre("10.0.0.2:7001", "10.0.0.1:7001", "[fd00::3]:7001"));
  const TeacherAddress named = addresses->Current()[1];
  EXPECT_EQ(named.host, "teachers");
  EXPECT_EQ(named.label, "10.0.0.1:7001 (teachers)");
}

TEST_F(TeacherAddressesTest, ANameIsLookedUpAgainAfterTenSecondsOfUse) {
  resolver_->Set("teachers", {"10.0.0.1"});
  const auto addresses = Make("teachers:7001");
  EXPECT_THAT(LookUp(*addresses), ElementsAre("10.0.0.1:7001"));
  resolver_->Set("teachers", {"10.0.0.1", "10.0.0.2"});
  clock_.Advance(absl::Seconds(9.9));
  EXPECT_THAT(Targets(*addresses), ElementsAre("10.0.0.1:7001"));  // starts none
  clock_.Advance(absl::Seconds(0.1));
  EXPECT_THAT(LookUp(*addresses), ElementsAre("10.0.0.1:7001", "10.0.0.2:7001"));
  resolver_->Set("teachers", {"10.0.0.2"});
  clock_.Advance(absl::Seconds(10));
  EXPECT_THAT(LookUp(*addresses), ElementsAre("10.0.0.2:7001"));
  EXPECT_EQ(resolver_->calls(), 3);
}

TEST_F(TeacherAddressesTest, AFailureBringsTheNextLookUpForwardButNotAStormOfThem) {
  resolver_->Set("teachers", {"10.0.0.1"});
  const auto addresses = Make("teachers:7001");
  EXPECT_THAT(LookUp(*addresses), ElementsAre("10.0.0.1:7001"));
  resolver_->Set("teachers", {"10.0.0.2"});
  addresses->LookAgain();
  clock_.Advance(absl::Seconds(0.9));
  EXPECT_THAT(Targets(*addresses), ElementsAre("10.0.0.1:7001"));  // starts none
  clock_.Advance(absl::Seconds(0.1));
  EXPECT_THAT(LookUp(*addresses), ElementsAre("10.0.0.2:7001"));
  EXPECT_EQ(resolver_->calls(), 2);
}

TEST_F(TeacherAddressesTest, WhatIsKnownStaysKnownWhileLookUpsFail) {
  resolver_->Set("teachers", {"10.0.0.1"});
  const auto addresses = Make("teachers:7001");
  EXPECT_THAT(LookUp(*addresses), ElementsAre("10.0.0.1:7001"));
  resolver_->Remove("teachers");
  clock_.Advance(absl::Seconds(10));
  EXPECT_THAT(LookUp(*addresses), ElementsAre("10.0.0.1:7001"));
  resolver_->Set("teachers", {});
  clock_.Advance(absl::Seconds(10));
  EXPECT_THAT(LookUp(*addresses), ElementsAre("10.0.0.1:7001"));
  EXPECT_THAT(addresses->Missing(), IsEmpty());
}

TEST_F(TeacherAddressesTest, ANameWithoutAddressIsMissingWithItsReason) {
  const auto addresses = Make("10.0.0.1:7001,teachers:7001");
  EXPECT_TRUE(addresses->FirstLookUp());
  EXPECT_THAT(addresses->Missing(), ElementsAre("teachers:7001 (its address is being looked up)"));
  EXPECT_THAT(LookUp(*addresses), ElementsAre("10.0.0.1:7001"));
  EXPECT_FALSE(addresses->FirstLookUp());
  EXPECT_THAT(addresses->Missing(), ElementsAre("teachers:7001 (no such host)"));
  resolver_->Set("teachers", {"10.0.0.2"});
  clock_.Advance(absl::Seconds(10));
  EXPECT_THAT(LookUp(*addresses), ElementsAre("10.0.0.1:7001", "10.0.0.2:7001"));
  EXPECT_THAT(addresses->Missing(), IsEmpty());
}

TEST_F(TeacherAddressesTest, AResolverThatHangsHoldsNobodyUp) {
  resolver_->Hang(true);
  auto addresses = Make("10.0.0.1:7001,teachers:7001");
  for (int i = 0; i < 3; ++i) {
    clock_.Advance(absl::Seconds(100));
    EXPECT_THAT(Targets(*addresses), ElementsAre("10.0.0.1:7001"));
  }
  addresses.reset();
  EXPECT_LE(resolver_->calls(), 1);  // and no second thread
  resolver_->Hang(false);
}

TEST(SystemResolver, KnowsThisMachine) {
  EXPECT_THAT(*SystemResolver().Resolve("127.0.0.1"), ElementsAre("127.0.0.1"));
  EXPECT_THAT(*SystemResolver().Resolve("localhost"), ElementsAre("127.0.0.1"));
  EXPECT_THAT(*SystemResolver().Resolve("::1"), ElementsAre("::1"));
}

TEST(SystemResolver, SaysWhatItCannotResolve) {
  const std::string too_long(64, 'a');  // no label of a name has 64 letters
  EXPECT_THAT(SystemResolver().Resolve(too_long),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("cannot resolve " + too_long)));
}

}  // namespace
}  // namespace distillery
