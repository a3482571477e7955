#include "common/run/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

namespace distillery {
namespace {

TEST(LearningRateAt, ConstantStaysAtThePeak) {
  for (const double progress : {0.0, 0.3, 1.0}) {
    EXPECT_EQ(LearningRateAt("constant", 0.4, progress), 0.4);
  }
}

TEST(LearningRateAt, CosineFallsFromThePeakToZero) {
  EXPECT_DOUBLE_EQ(LearningRateAt("cosine", 0.4, 0), 0.4);
  // 0.4 (1 + cos(pi / 4)) / 2, cos(pi / 4) = sqrt(1/2)
  EXPECT_NEAR(LearningRateAt("cosine", 0.4, 0.25), 0.2 * (1 + std::sqrt(0.5)), 1e-15);
  EXPECT_NEAR(LearningRateAt("cosine", 0.4, 0.5), 0.2, 1e-15);
  EXPECT_NEAR(LearningRateAt("cosine", 0.4, 1), 0, 1e-15);
}

TEST(LearningRateAt, OneCycleRisesForThreeTenthsThenFalls) {
  EXPECT_NEAR(LearningRateAt("one_cycle", 0.5, 0), 0.02, 1e-15);  // 0.5 / 25
  // Half way up: the mean of both ends.
  EXPECT_NEAR(LearningRateAt("one_cycle", 0.5, 0.15), (0.02 + 0.5) / 2, 1e-15);
  EXPECT_NEAR(LearningRateAt("one_cycle", 0.5, 0.3), 0.5, 1e-15);
  EXPECT_NEAR(LearningRateAt("one_cycle", 0.5, 0.65), 0.25, 1e-15);  // half way down
  EXPECT_NEAR(LearningRateAt("one_cycle", 0.5, 1), 0, 1e-15);
}

TEST(LearningRateAt, EveryKnownScheduleStaysWithinZeroAndThePeak) {
  for (const std::string& schedule : KnownSchedules()) {
    for (int i = 0; i <= 100; ++i) {
      const double rate = LearningRateAt(schedule, 0.4, i / 100.0);
      EXPECT_GE(rate, -1e-15) << schedule;
      EXPECT_LE(rate, 0.4 + 1e-15) << schedule;
    }
  }
}

TEST(ScheduledValue, GoesFromStartToEndAsTheRateGoesToZero) {
  EXPECT_DOUBLE_EQ(ScheduledValue("linear", 8, 2, 0, 0), 8);
  EXPECT_DOUBLE_EQ(ScheduledValue("linear", 8, 2, 0.5, 0), 5);
  EXPECT_DOUBLE_EQ(ScheduledValue("linear", 8, 2, 1, 0), 2);
  EXPECT_DOUBLE_EQ(ScheduledValue("cosine", 0, 1, 0.5, 0), 0.5);
  EXPECT_DOUBLE_EQ(ScheduledValue("step", 10, 0, 0.6, 0), 1);
}

TEST(ScheduledValue, WarmUpComesFromTheEnd) {
  EXPECT_DOUBLE_EQ(ScheduledValue("constant", 0.9, 0.1, 0, 0.2), 0.1);
  EXPECT_DOUBLE_EQ(ScheduledValue("constant", 0.9, 0.1, 0.1, 0.2), 0.5);
  EXPECT_DOUBLE_EQ(ScheduledValue("constant", 0.9, 0.1, 0.3, 0.2), 0.9);
}

}  // namespace
}  // namespace distillery
