#include "coordinator/guard.h"

#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"

namespace distillery {
namespace {

constexpr int64_t kMostRollBacks = 3;

// What explodes; smaller is better.
struct HeldOutLoss {
  const char* name;
  double EvaluationMetrics::*figure;
};
constexpr HeldOutLoss kCrossEntropy = {"cross entropy", &EvaluationMetrics::held_out_cross_entropy};
constexpr HeldOutLoss kSquaredError = {"mean squared error",
                                       &EvaluationMetrics::held_out_mean_squared_error};

const HeldOutLoss& LossOf(const RunSpec& spec) {
  return spec.guard.metric == "mean_squared_error" ? kSquaredError : kCrossEntropy;
}

// Larger is better.
double ScoreOf(const RunSpec& spec, const EvaluationMetrics& metrics) {
  return spec.guard.metric == "accuracy" ? metrics.held_out_accuracy()
                                         : -(metrics.*LossOf(spec).figure);
}

}  // namespace

GuardVerdict JudgeRun(const RunSpec& spec,
                      const std::map<int64_t, EvaluationMetrics>& evaluations) {
  GuardVerdict verdict;
  double best_score = 0;
  double best_loss = std::numeric_limits<double>::infinity();
  int64_t since_best = 0;
  int64_t explosions = 0;
  bool exploded = false;
  double loss = 0;
  for (const auto& [round, metrics] : evaluations) {
    loss = metrics.*LossOf(spec).figure;
    exploded = !std::isfinite(loss) ||
               (spec.guard.max_loss_ratio > 0 && loss > spec.guard.max_loss_ratio * best_loss);
    ++since_best;
    if (exploded) {
      ++explosions;
      continue;
    }
    best_loss = std::min(best_loss, loss);
    const double score = ScoreOf(spec, metrics);
    if (verdict.best_round > 0 && !(score > best_score + spec.guard.min_improvement)) continue;
    best_score = score;
    verdict.best_round = round;
    since_best = 0;
  }
  if (exploded) {
    verdict.reason =
        absl::StrCat("the held-out ", LossOf(spec).name, " exploded: ", loss, " after ",
                     evaluations.rbegin()->first, " rounds, the best was ", best_loss);
    const bool roll_back = spec.guard.on_explosion == "roll_back" && verdict.best_round > 0 &&
                           explosions <= kMostRollBacks;
    verdict.action = roll_back ? GuardVerdict::Action::kRollBack : GuardVerdict::Action::kFail;
    if (!roll_back && explosions > kMostRollBacks) {
      absl::StrAppend(&verdict.reason, "; rolled back ", kMostRollBacks, " times before");
    }
  } else if (spec.guard.patience > 0 && since_best >= spec.guard.patience) {
    verdict.action = GuardVerdict::Action::kStop;
    verdict.reason = absl::StrCat("stopped early: no better held-out ", spec.guard.metric, " in ",
                                  since_best, " evaluations since round ", verdict.best_round);
  }
  return verdict;
}

}  // namespace distillery
