// LearningRateAt against torch.optim.lr_scheduler.
#include "common/run/schedule.h"

#include "tests/golden/golden_file.h"

namespace distillery {
namespace {

void CheckSchedule(const std::string& schedule) {
  const nlohmann::json golden = ReadGolden("schedules.json");
  const auto peak = golden.at("peak").get<double>();
  const auto rates = golden.at(schedule).get<std::vector<double>>();
  ASSERT_EQ(rates.size(), 101U);
  for (size_t i = 0; i < rates.size(); ++i) {
    EXPECT_NEAR(LearningRateAt(schedule, peak, static_cast<double>(i) / 100), rates[i], 1e-9 * peak)
        << "at " << i << " %";
  }
}

TEST(GoldenSchedules, OneCycleEqualsPyTorch) { CheckSchedule("one_cycle"); }

TEST(GoldenSchedules, CosineEqualsPyTorch) { CheckSchedule("cosine"); }

TEST(GoldenSchedules, StepEqualsPyTorch) { CheckSchedule("step"); }

TEST(GoldenSchedules, LinearEqualsPyTorch) { CheckSchedule("linear"); }

TEST(Schedules, WarmUpRisesLinearlyToTheSchedule) {
  EXPECT_EQ(LearningRateAt("constant", 0.4, 0, 0.2), 0);
  EXPECT_NEAR(LearningRateAt("constant", 0.4, 0.05, 0.2), 0.1, 1e-12);
  EXPECT_EQ(LearningRateAt("constant", 0.4, 0.2, 0.2), 0.4);
  EXPECT_EQ(LearningRateAt("cosine", 0.4, 0.5, 0.2), LearningRateAt("cosine", 0.4, 0.5));
}

}  // namespace
}  // namespace distillery
