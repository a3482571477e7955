#include "common/run/sweep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "absl/strings/str_cat.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

constexpr char kRun[] =
    "name: s\n"
    "student: {architecture: \"mlp:64-10\"}\n"
    "loss:\n"
    "  alpha: 0.9\n"
    "training: {local_epochs: 1}\n";

TEST(Sweep, EachCombinationIsARun) {
  ASSERT_OK_AND_ASSIGN(
      const std::vector<SweptRun> runs,
      ParseSweep(
          absl::StrCat(kRun, "sweep:\n  temperature: [1, 4, 20]\n  loss.alpha: [0.5, 0.9]\n"),
          "run.yaml"));
  ASSERT_EQ(runs.size(), 6u);
  EXPECT_EQ(runs[0].spec.loss.temperature, 1);
  EXPECT_EQ(runs[0].spec.loss.alpha, 0.5);
  EXPECT_EQ(runs[1].spec.loss.temperature, 1);
  EXPECT_EQ(runs[1].spec.loss.alpha, 0.9);
  EXPECT_EQ(runs[5].spec.loss.temperature, 20);
  EXPECT_THAT(runs[2].values,
              ElementsAre(Pair("loss.temperature", "4"), Pair("loss.alpha", "0.5")));
  EXPECT_EQ(runs[2].spec.name, "s-temperature_4-alpha_0.5");
  std::set<std::string> names;
  for (const SweptRun& run : runs) names.insert(run.spec.name);
  EXPECT_EQ(names.size(), runs.size());
}

TEST(Sweep, AFileWithoutOneIsOneRun) {
  ASSERT_OK_AND_ASSIGN(const std::vector<SweptRun> runs, ParseSweep(kRun, "run.yaml"));
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].spec.name, "s");
  EXPECT_TRUE(runs[0].values.empty());
}

TEST(Sweep, ListsAndGroupsThatAreNotThereMayBeSwept) {
  ASSERT_OK_AND_ASSIGN(
      const std::vector<SweptRun> runs,
      ParseSweep(absl::StrCat(kRun, "sweep: {exclude_classes: [[3], [7, 8]], seed: [1, 2]}\n"),
                 "run.yaml"));
  ASSERT_EQ(runs.size(), 4u);
  EXPECT_THAT(runs[3].spec.dataset.exclude_classes, ElementsAre(7, 8));
  EXPECT_EQ(runs[3].spec.seed, 2);
  EXPECT_EQ(runs[3].spec.name, "s-exclude_classes_7-8-seed_2");
}

TEST(Sweep, ANameThatWouldBeTooLongCounts) {
  ASSERT_OK_AND_ASSIGN(
      const std::vector<SweptRun> runs,
      ParseSweep(absl::StrCat(kRun,
                              "sweep: {architecture: [\"mlp:64-32-10\", "
                              "\"mlp:64-128-64-32-128-64-32-128-64-32-128-64-32-128-64-10\"]}\n"),
                 "run.yaml"));
  EXPECT_EQ(runs[0].spec.name, "s-architecture_mlp-64-32-10");
  EXPECT_EQ(runs[1].spec.name, "s-2");
}

TEST(Sweep, WhatIsWrongIsNamedWithItsLine) {
  const auto refused = [](const std::string& sweep, const char* message) {
    EXPECT_THAT(ParseSweep(absl::StrCat(kRun, "sweep:\n", sweep), "run.yaml"),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)))
        << sweep;
  };
  refused("  temprature: [1]\n", "run.yaml:7: sweep has an unknown key \"temprature\"");
  refused("  temprature: [1]\n", "loss.temperature");
  refused("  warm_up: [0.1]\n", "may be loss.warm_up or training.warm_up");
  refused("  temperature: 4\n", "run.yaml:7: sweep loss.temperature must be a list of values");
  refused("  temperature: []\n", "must be a list of values");
  refused("  temperature: [1]\n  loss.temperature: [2]\n", "twice");
  refused("  temperature: [1, -1]\n", "run.yaml:7: loss.temperature must be > 0, got -1");
  refused("  temperature: [1, warm]\n", "run.yaml:7: loss.temperature must be a number");
  refused("  scheduling.priority: [1]\n", "unknown key");
  EXPECT_THAT(ParseSweep(absl::StrCat(kRun, "sweep: 3\n"), "run.yaml"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("must hold keys and lists")));
  std::string many = "  seed: [1";
  for (int i = 2; i <= 1001; ++i) absl::StrAppend(&many, ", ", i);
  refused(absl::StrCat(many, "]\n"), "more than 1000 runs");
}

TEST(Sweep, OneRunDoesNotTakeASweep) {
  EXPECT_THAT(ParseRunSpec(absl::StrCat(kRun, "sweep: {seed: [1]}\n"), "run.yaml"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("run.yaml:6: a sweep")));
}

}  // namespace
}  // namespace distillery
