#include "coordinator/guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <vector>

namespace distillery {
namespace {

using Action = GuardVerdict::Action;

// Evaluations of rounds 1, 2, ... with these held-out cross entropies.
std::map<int64_t, EvaluationMetrics> Losses(const std::vector<double>& losses) {
  std::map<int64_t, EvaluationMetrics> evaluations;
  for (const double loss : losses) {
    EvaluationMetrics metrics;
    metrics.held_out_sample_count = 100;
    metrics.held_out_cross_entropy = loss;
    const auto round = static_cast<int64_t>(evaluations.size()) + 1;
    evaluations[round] = metrics;
  }
  return evaluations;
}

RunSpec Spec() {
  RunSpec spec;
  spec.guard.metric = "cross_entropy";
  return spec;
}

TEST(Guard, TheBestRoundIsTheFirstOfTheSmallestLosses) {
  const GuardVerdict verdict = JudgeRun(Spec(), Losses({3, 1, 2, 1}));
  EXPECT_EQ(verdict.best_round, 2);
  EXPECT_EQ(verdict.action, Action::kGoOn);
}

TEST(Guard, AccuracyIsBestWhereItIsLargest) {
  RunSpec spec = Spec();
  spec.guard.metric = "accuracy";
  auto evaluations = Losses({1, 1, 1});
  evaluations[1].held_out_correct_count = 50;
  evaluations[2].held_out_correct_count = 70;
  evaluations[3].held_out_correct_count = 60;
  EXPECT_EQ(JudgeRun(spec, evaluations).best_round, 2);
}

TEST(Guard, ValuesAreJudgedByTheirSquaredError) {
  RunSpec spec = Spec();
  spec.guard.metric = "mean_squared_error";
  spec.guard.max_loss_ratio = 2;
  // Their cross entropy is 0.
  auto evaluations = Losses({0, 0, 0});
  evaluations[1].held_out_mean_squared_error = 3;
  evaluations[2].held_out_mean_squared_error = 1;
  evaluations[3].held_out_mean_squared_error = 1.5;
  EXPECT_EQ(JudgeRun(spec, evaluations).best_round, 2);
  EXPECT_EQ(JudgeRun(spec, evaluations).action, Action::kGoOn);
  evaluations[3].held_out_mean_squared_error = 5;
  const GuardVerdict verdict = JudgeRun(spec, evaluations);
  EXPECT_EQ(verdict.action, Action::kFail);
  EXPECT_THAT(verdict.reason, ::testing::HasSubstr("mean squared error exploded: 5 after 3"));
}

TEST(Guard, StopsWhenPatienceIsOver) {
  RunSpec spec = Spec();
  spec.guard.patience = 2;
  EXPECT_EQ(JudgeRun(spec, Losses({3, 1, 2})).action, Action::kGoOn);
  const GuardVerdict verdict = JudgeRun(spec, Losses({3, 1, 2, 1.5}));
  EXPECT_EQ(verdict.action, Action::kStop);
  EXPECT_EQ(verdict.best_round, 2);
  EXPECT_THAT(verdict.reason, ::testing::HasSubstr("since round 2"));
}

TEST(Guard, AnImprovementThatIsTooSmallDoesNotCount) {
  RunSpec spec = Spec();
  spec.guard.patience = 2;
  spec.guard.min_improvement = 0.1;
  EXPECT_EQ(JudgeRun(spec, Losses({1, 0.95, 0.92})).action, Action::kStop);
  EXPECT_EQ(JudgeRun(spec, Losses({1, 0.95, 0.85})).action, Action::kGoOn);
}

TEST(Guard, AnExplosionFailsTheRunOrRollsItBack) {
  RunSpec spec = Spec();
  spec.guard.max_loss_ratio = 3;
  EXPECT_EQ(JudgeRun(spec, Losses({1, 2.9})).action, Action::kGoOn);
  EXPECT_EQ(JudgeRun(spec, Losses({1, 3.1})).action, Action::kFail);
  spec.guard.on_explosion = "roll_back";
  const GuardVerdict verdict = JudgeRun(spec, Losses({2, 1, 3.1}));
  EXPECT_EQ(verdict.action, Action::kRollBack);
  EXPECT_EQ(verdict.best_round, 2);
  // It is the newest evaluation that counts.
  EXPECT_EQ(JudgeRun(spec, Losses({2, 1, 3.1, 1.1})).action, Action::kGoOn);
}

TEST(Guard, ALossThatIsNoNumberHasExploded) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(JudgeRun(Spec(), Losses({1, nan})).action, Action::kFail);
  const GuardVerdict verdict = JudgeRun(Spec(), Losses({nan}));
  EXPECT_EQ(verdict.action, Action::kFail);
  EXPECT_EQ(verdict.best_round, 0);
}

TEST(Guard, TheFourthExplosionEndsTheRun) {
  RunSpec spec = Spec();
  spec.guard.max_loss_ratio = 3;
  spec.guard.on_explosion = "roll_back";
  EXPECT_EQ(JudgeRun(spec, Losses({1, 9, 9, 9})).action, Action::kRollBack);
  EXPECT_EQ(JudgeRun(spec, Losses({1, 9, 9, 9, 9})).action, Action::kFail);
}

}  // namespace
}  // namespace distillery
