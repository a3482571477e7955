#include "cli/experiment/class_bias.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace distillery {
namespace {

using ::testing::ElementsAre;

// Three classes, the last of them never seen: its logits are too low.
SplitLogits Logits(std::vector<float> rows, std::vector<int32_t> labels) {
  SplitLogits logits;
  logits.class_count = 3;
  logits.logits = std::move(rows);
  logits.labels = std::move(labels);
  return logits;
}

TEST(ClassBiasTest, ChoicesFollowTheBias) {
  const SplitLogits logits = Logits({5, 0, 4, 1, 6, 2, 3, 3, -9}, {2, 1, 0});
  EXPECT_THAT(Choices(logits), ElementsAre(0, 1, 0));
  EXPECT_THAT(ChoicesWithBias(logits, {2}, 0), ElementsAre(0, 1, 0));
  EXPECT_THAT(ChoicesWithBias(logits, {2}, 2), ElementsAre(2, 1, 0));
  EXPECT_THAT(ChoicesWithBias(logits, {2}, 4), ElementsAre(2, 2, 0));
  // The best of the lowered classes is still the better one.
  EXPECT_THAT(ChoicesWithBias(logits, {0, 1}, -2), ElementsAre(2, 1, 0));
  EXPECT_EQ(CountErrors(ChoicesWithBias(logits, {2}, 2), logits.labels), 0);
  EXPECT_EQ(CountErrors(ChoicesWithBias(logits, {2}, 4), logits.labels), 1);
}

TEST(ClassBiasTest, TheFitIsTheMiddleOfTheStretchWithFewestErrors) {
  // The last class is chosen from a bias of 1 for the first sample and of 4 for the second, which
  // is not of that class: right between them.
  const SplitLogits logits = Logits({5, 0, 4, 1, 6, 2}, {2, 1});
  EXPECT_DOUBLE_EQ(FitBias(logits, {2}, logits.labels), 2.5);
  // The other way round: lowering both other classes.
  EXPECT_DOUBLE_EQ(FitBias(logits, {0, 1}, logits.labels), -2.5);
}

TEST(ClassBiasTest, ItTakesTheLongerOfTwoEqualStretches) {
  // One error from 1 to 2 and from 3 to 6: +2 of the class at 1 and 3, others at 2 and 6.
  const SplitLogits logits = Logits({1, 0, 0, 2, 0, 0, 3, 0, 0, 6, 0, 0}, {2, 0, 2, 0});
  EXPECT_DOUBLE_EQ(FitBias(logits, {2}, logits.labels), 4.5);
}

TEST(ClassBiasTest, ItIsZeroWhereABiasDoesNotHelp) {
  const SplitLogits logits = Logits({5, 0, 4, 1, 6, 2}, {0, 1});
  EXPECT_EQ(FitBias(logits, {2}, logits.labels), 0);
}

TEST(ClassBiasTest, BeyondTheLastStepItIsOnePastIt) {
  const SplitLogits logits = Logits({5, 0, 4, 1, 6, 2}, {2, 2});
  EXPECT_DOUBLE_EQ(FitBias(logits, {2}, logits.labels), 5);
}

}  // namespace
}  // namespace distillery
