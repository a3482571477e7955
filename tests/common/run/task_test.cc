#include "common/run/task.h"

#include <gtest/gtest.h>

#include <type_traits>

namespace distillery {
namespace {

TrainMetrics Figures(int64_t samples, double scale) {
  TrainMetrics metrics;
  double next = scale;
  VisitTrainMetrics([&](const char* /*name*/, auto figure, OfRound /*of*/, const char* /*tag*/) {
    using Figure = std::remove_reference_t<decltype(metrics.*figure)>;
    metrics.*figure = static_cast<Figure>(next);
    next += scale;
  });
  metrics.sample_count = samples;
  return metrics;
}

// Sums of unlike sizes, whose bits depend on their order.
TEST(RoundMetrics, MeansAreWeightedBySamplesInTheOrderOfTheTasks) {
  const TrainMetrics a = Figures(3, 0.1);
  const TrainMetrics b = Figures(100'000, 7e5 / 3);
  const TrainMetrics c = Figures(7, 1.0 / 3);
  const TrainMetrics round = RoundMetrics({&a, &b, &c});
  const auto mean = [&](double TrainMetrics::*figure) {
    double sum = 0;
    for (const TrainMetrics* const task : {&a, &b, &c}) {
      sum += static_cast<double>(task->sample_count) * (task->*figure);
    }
    return sum / 100'010.0;
  };
  for (double TrainMetrics::*const figure :
       {&TrainMetrics::loss, &TrainMetrics::soft_loss, &TrainMetrics::hard_loss,
        &TrainMetrics::dkd_target_loss, &TrainMetrics::dkd_other_loss}) {
    EXPECT_EQ(round.*figure, mean(figure));
  }
}

TEST(RoundMetrics, CountsAndTimesAreAddedInTheOrderOfTheTasks) {
  const TrainMetrics a = Figures(3, 0.1);
  const TrainMetrics b = Figures(100'000, 7e5 / 3);
  const TrainMetrics round = RoundMetrics({&a, &b, &a});
  EXPECT_EQ(round.sample_count, 100'006);
  EXPECT_EQ(round.step_count, 2 * a.step_count + b.step_count);
  EXPECT_EQ(round.teacher_failover_count, 2 * a.teacher_failover_count + b.teacher_failover_count);
  for (double TrainMetrics::*const figure :
       {&TrainMetrics::seconds, &TrainMetrics::teacher_wait_seconds,
        &TrainMetrics::data_wait_seconds}) {
    EXPECT_EQ(round.*figure, a.*figure + b.*figure + a.*figure);
  }
}

}  // namespace
}  // namespace distillery
