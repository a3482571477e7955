#include "common/base/backoff.h"

#include <gtest/gtest.h>

#include <set>

namespace distillery {
namespace {

TEST(Backoff, DoublesUpToTheLongestWithJitterOfAHalf) {
  Backoff backoff(absl::Seconds(1), absl::Seconds(5));
  for (const int whole : {1, 2, 4, 5, 5}) {
    const absl::Duration wait = backoff.Next();
    EXPECT_GE(wait, absl::Seconds(whole) / 2) << whole;
    EXPECT_LE(wait, absl::Seconds(whole)) << whole;
  }
  backoff.Reset();
  EXPECT_LE(backoff.Next(), absl::Seconds(1));
}

TEST(Backoff, ManyClientsDoNotWaitAlike) {
  std::set<absl::Duration> waits;
  for (int i = 0; i < 100; ++i) waits.insert(Backoff(absl::Seconds(1)).Next());
  EXPECT_GT(waits.size(), 90);
}

}  // namespace
}  // namespace distillery
