#include "coordinator/fair_share.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace distillery {
namespace {

// Gives `turns` tasks of a second each to the run whose turn it is.
std::map<std::string, int> Turns(FairShare* share, const std::vector<std::string>& runs,
                                 int turns) {
  std::map<std::string, int> got;
  for (int i = 0; i < turns; ++i) {
    std::string next;
    for (const std::string& run : runs) {
      if (next.empty() || share->SharedSeconds(run, {}) < share->SharedSeconds(next, {}))
        next = run;
    }
    ++got[next];
    share->Charge(next, absl::Seconds(1));
  }
  return got;
}

TEST(FairShare, TimeIsSharedInProportionToPriority) {
  FairShare share;
  share.Join("low", 1);
  share.Join("high", 3);
  const auto got = Turns(&share, {"low", "high"}, 400);
  EXPECT_EQ(got.at("low"), 100);
  EXPECT_EQ(got.at("high"), 300);
}

TEST(FairShare, ALateRunNeitherCatchesUpNorWaits) {
  FairShare share;
  share.Join("early", 0);
  share.Charge("early", absl::Hours(1));
  share.Join("late", 0);
  const auto got = Turns(&share, {"early", "late"}, 100);
  EXPECT_EQ(got.at("early"), 50);
  EXPECT_EQ(got.at("late"), 50);
}

TEST(FairShare, TasksUnderWayCount) {
  FairShare share;
  share.Join("a", 2);
  EXPECT_EQ(share.SharedSeconds("a", absl::Seconds(10)), 5);
}

TEST(FairShare, WhatLeftIsNotCharged) {
  FairShare share;
  share.Join("a", 1);
  share.Leave("a");
  share.Charge("a", absl::Seconds(5));
  share.Join("a", 1);
  EXPECT_EQ(share.SharedSeconds("a", {}), 0);
}

}  // namespace
}  // namespace distillery
