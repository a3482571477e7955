#include "common/run/answer_figures.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace distillery {
namespace {

// Eight of a class, ten answers of it, six of them right.
constexpr Occurrence kSome = {8, 10, 6};

TEST(AnswerFigures, F1AndIouAreThoseCountedByHand) {
  EXPECT_DOUBLE_EQ(F1(kSome), 12.0 / 18);
  EXPECT_DOUBLE_EQ(Iou(kSome), 6.0 / 12);
  EXPECT_EQ(F1({3, 3, 3}), 1);
  EXPECT_EQ(Iou({3, 3, 3}), 1);
  EXPECT_EQ(F1({}), 0);
  EXPECT_EQ(Iou({}), 0);
}

TEST(AnswerFigures, MeansAreOverWhatOccurs) {
  // The second is never answered, the third is neither labelled nor answered.
  const std::vector<Occurrence> all = {kSome, {4, 0, 0}, {}};
  EXPECT_DOUBLE_EQ(MacroF1(all).mean, 12.0 / 18 / 2);
  EXPECT_EQ(MacroF1(all).count, 2);
  EXPECT_DOUBLE_EQ(MeanIou(all).mean, 0.25);
  EXPECT_DOUBLE_EQ(MicroF1(all), 12.0 / 22);
  EXPECT_EQ(MeanIou({}).mean, 0);
  EXPECT_EQ(MeanIou({{}, {}}).count, 0);
}

TEST(AnswerFigures, AveragePrecisionIsTheSumOverThresholds) {
  // The example of scikit-learn's documentation.
  EXPECT_NEAR(AveragePrecision({{0.1F, false}, {0.4F, false}, {0.35F, true}, {0.8F, true}}),
              5.0 / 6, 1e-12);
  EXPECT_EQ(AveragePrecision({{2, true}, {1, false}}), 1);
  EXPECT_EQ(AveragePrecision({{1, false}, {2, false}}), 0);
  EXPECT_EQ(AveragePrecision({}), 0);
}

TEST(AnswerFigures, EqualScoresAreOneThresholdInWhateverOrderTheyCome) {
  EXPECT_DOUBLE_EQ(AveragePrecision({{1, true}, {1, false}}), 0.5);
  EXPECT_DOUBLE_EQ(AveragePrecision({{1, false}, {1, true}}), 0.5);
}

TEST(AnswerFigures, AScoreThatIsNoNumberIsTheLast) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_DOUBLE_EQ(AveragePrecision({{nan, true}, {-5, true}, {1, false}}),
                   0.5 * 1 / 2 + 0.5 * 2 / 3);
}

TEST(AnswerFigures, R2IsThePartOfTheSpreadThatIsExplained) {
  ValueSums sums;
  EXPECT_EQ(sums.mean_squared_error(), 0);
  sums.Add(1, 2);
  sums.Add(4, 4);
  sums.Add(7, 6);
  EXPECT_DOUBLE_EQ(sums.mean_squared_error(), 2.0 / 3);
  EXPECT_DOUBLE_EQ(sums.r2(), 1 - 2.0 / 8);
}

TEST(AnswerFigures, ANarrowRangeFarFromZeroKeepsItsSpread) {
  ValueSums sums;
  constexpr double kFar = 1e9;
  for (int i = 0; i < 1000; ++i) {
    const double label = kFar + i % 2;
    sums.Add(label + (i % 4 < 2 ? 0.5 : 0), label);
  }
  // Residual 1000 / 8, spread 1000 / 4.
  EXPECT_NEAR(sums.r2(), 0.5, 1e-9);
}

TEST(AnswerFigures, LabelsThatAreAllAlikeAreExplainedOrNot) {
  ValueSums exact;
  ValueSums wrong;
  ValueSums none;
  for (int i = 0; i < 3; ++i) {
    exact.Add(0.1, 0.1);
    wrong.Add(0.1 * i, 0.1);
    none.Add(std::numeric_limits<double>::quiet_NaN(), 0.1);
  }
  EXPECT_EQ(exact.r2(), 1);
  EXPECT_EQ(wrong.r2(), 0);
  EXPECT_TRUE(std::isnan(none.r2()));
}

TEST(AnswerFigures, TheCosineIsThatOfTheAngle) {
  const float a[] = {3, 4};
  const float b[] = {-4, 3};
  const float c[] = {-6, -8};
  const float zero[] = {0, 0};
  EXPECT_DOUBLE_EQ(Cosine(a, a, 2), 1);
  EXPECT_DOUBLE_EQ(Cosine(a, b, 2), 0);
  EXPECT_DOUBLE_EQ(Cosine(a, c, 2), -1);
  EXPECT_EQ(Cosine(a, zero, 2), 0);
}

}  // namespace
}  // namespace distillery
