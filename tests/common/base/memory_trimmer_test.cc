#include "common/base/memory_trimmer.h"

#include <gtest/gtest.h>

namespace distillery {
namespace {

// In MiB.
HeapFigures Figures(int64_t free, int64_t used, int64_t resident) {
  return {.free = free << 20, .used = used << 20, .resident = resident << 20};
}

TEST(TrimDecision, Fault55_WhatStaysFreeAfterAFloodIsWorthGivingBack) {
  TrimDecision decision;
  EXPECT_FALSE(decision.Worthwhile(Figures(2, 90, 100)));
  EXPECT_FALSE(decision.Worthwhile(Figures(900, 90, 1000))) << "perhaps it is needed next";
  EXPECT_TRUE(decision.Worthwhile(Figures(900, 90, 1000)));
  decision.Trimmed(Figures(900, 90, 101));
  EXPECT_FALSE(decision.Worthwhile(Figures(900, 90, 101))) << "it was given back";
  EXPECT_FALSE(decision.Worthwhile(Figures(300, 690, 700))) << "it is in use";
  EXPECT_TRUE(decision.Worthwhile(Figures(900, 90, 700))) << "it was used again since";
}

TEST(TrimDecision, Fault55_WhatWasInUseTheLastTimeIsWorthGivingBackWhenItIsFree) {
  TrimDecision decision;
  EXPECT_FALSE(decision.Worthwhile(Figures(2, 90, 100)));
  EXPECT_FALSE(decision.Worthwhile(Figures(400, 600, 1000)));
  EXPECT_TRUE(decision.Worthwhile(Figures(400, 600, 1000)));
  decision.Trimmed(Figures(400, 600, 610));
  EXPECT_FALSE(decision.Worthwhile(Figures(400, 600, 610)));
  // No more is resident than when it was trimmed.
  EXPECT_TRUE(decision.Worthwhile(Figures(900, 100, 610)));
}

TEST(TrimDecision, MemoryInUseIsNoReason) {
  TrimDecision decision;
  for (int64_t used = 100; used < 2000; used += 100) {
    EXPECT_FALSE(decision.Worthwhile(Figures(20, used, used + 20)));
  }
}

}  // namespace
}  // namespace distillery
