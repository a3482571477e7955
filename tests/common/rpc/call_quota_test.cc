#include "common/rpc/call_quota.h"

#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

TEST(CallQuota, Fault55_AConnectionHasSoManyCallsUntilSomeEnd) {
  CallQuota quota({/*per_connection=*/2, /*total=*/100, /*share=*/1});
  EXPECT_THAT(quota.Enter("1"), IsOk());
  EXPECT_THAT(quota.Enter("1"), IsOk());
  quota.Begin("1");
  EXPECT_THAT(quota.Enter("1"), StatusIs(kExhausted, HasSubstr("has 2 calls under way")));
  EXPECT_THAT(quota.Enter("2"), IsOk());
  quota.Leave("1");
  EXPECT_THAT(quota.Enter("1"), IsOk());
  EXPECT_EQ(quota.statistics().live_count, 3);
  EXPECT_EQ(quota.statistics().refused_count, 1);
}

TEST(CallQuota, Fault55_ManyConnectionsTogetherLeaveTheOthersTheirShare) {
  CallQuota quota({/*per_connection=*/10, /*total=*/20, /*share=*/2});
  for (const std::string connection : {"1", "2"}) {
    for (int i = 0; i < 10; ++i) {
      EXPECT_THAT(quota.Enter(connection), IsOk());
      quota.Begin(connection);
    }
  }
  EXPECT_THAT(quota.Enter("3"), IsOk());
  EXPECT_THAT(quota.Enter("3"), IsOk());
  EXPECT_THAT(quota.Enter("3"), StatusIs(kExhausted, HasSubstr("the server has 22 calls")));
  for (int i = 0; i < 10; ++i) quota.Leave("1");
  EXPECT_THAT(quota.Enter("3"), IsOk());
}

TEST(CallQuota, Fault55_CallsThatNeverBeginCountForAMinute) {
  FakeClock clock;
  CallQuota quota({/*per_connection=*/3, /*total=*/100, /*share=*/1}, &clock);
  // One that begins, before and after those that do not: too large a message ends them.
  EXPECT_THAT(quota.Enter("1"), IsOk());
  quota.Begin("1");
  EXPECT_THAT(quota.Enter("1"), IsOk());
  EXPECT_THAT(quota.Enter("1"), IsOk());
  EXPECT_THAT(quota.Enter("1"), StatusIs(kExhausted));
  // Others that come and go keep none of them young.
  for (int i = 0; i < 7; ++i) {
    quota.Leave("1");
    clock.Advance(absl::Seconds(9));
    EXPECT_THAT(quota.Enter("1"), IsOk()) << i;
    quota.Begin("1");
  }
  EXPECT_EQ(quota.statistics().live_count, 1);
  EXPECT_THAT(quota.Enter("1"), IsOk());
  EXPECT_THAT(quota.Enter("1"), IsOk());
  // One that was forgotten, and begins after all.
  clock.Advance(absl::Seconds(61));
  EXPECT_THAT(quota.Enter("2"), IsOk());
  EXPECT_EQ(quota.statistics().live_count, 2);
  quota.Begin("1");
  EXPECT_EQ(quota.statistics().live_count, 3);
  quota.Leave("1");
  quota.Leave("1");
  quota.Leave("1");
  EXPECT_EQ(quota.statistics().live_count, 1);
}

}  // namespace
}  // namespace distillery
