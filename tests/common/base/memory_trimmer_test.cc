#include "common/base/memory_trimmer.h"

#include <gtest/gtest.h>

namespace distillery {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

TEST(TrimDecision, Fault55_WhatStaysFreeAfterAFloodIsWorthGivingBack) {
  TrimDecision decision;
  EXPECT_FALSE(decision.Worthwhile(2 * kMiB, 100 * kMiB));
  EXPECT_FALSE(decision.Worthwhile(900 * kMiB, 1000 * kMiB)) << "perhaps it is needed next";
  EXPECT_TRUE(decision.Worthwhile(900 * kMiB, 1000 * kMiB));
  decision.Trimmed(101 * kMiB);
  EXPECT_FALSE(decision.Worthwhile(900 * kMiB, 101 * kMiB)) << "it was given back";
  EXPECT_TRUE(decision.Worthwhile(900 * kMiB, 700 * kMiB)) << "it was used again since";
}

TEST(TrimDecision, MemoryInUseIsNoReason) {
  TrimDecision decision;
  for (int64_t used = 100; used < 2000; used += 100) {
    EXPECT_FALSE(decision.Worthwhile(20 * kMiB, used * kMiB));
  }
}

}  // namespace
}  // namespace distillery
