#include "student_worker/teachers/rendezvous.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int kShards = 10'000;

const std::vector<std::string>& Teachers() {
  static const auto* const names = new std::vector<std::string>{"10.0.0.1:7001", "10.0.0.2:7001",
                                                                "10.0.0.3:7001", "10.0.0.4:7001"};
  return *names;
}

// The first choice for each shard.
std::vector<std::string> Owners(const std::vector<std::string>& names) {
  std::vector<std::string> owners;
  owners.reserve(kShards);
  for (int shard = 0; shard < kShards; ++shard) {
    owners.push_back(RendezvousOrder({"data", shard, 0}, names).front());
  }
  return owners;
}

TEST(Rendezvous, IsTheSameInEveryRelease) {
  // sha256sum of "10.0.0.1:7001\ndata\n7\n0" begins with 54, of those of 2, 3 and 4 with cf, 24,
  // a7.
  EXPECT_THAT(RendezvousOrder({"data", 7, 0}, Teachers()),
              ElementsAre("10.0.0.2:7001", "10.0.0.4:7001", "10.0.0.1:7001", "10.0.0.3:7001"));
}

TEST(Rendezvous, DoesNotDependOnTheOrderOfTheNames) {
  std::vector<std::string> names = Teachers();
  const auto expected = RendezvousOrder({"data", 3, 1}, names);
  while (std::next_permutation(names.begin(), names.end())) {
    EXPECT_EQ(RendezvousOrder({"data", 3, 1}, names), expected);
  }
  EXPECT_THAT(expected, ::testing::UnorderedElementsAreArray(Teachers()));
}

TEST(Rendezvous, OfNobodyIsNobody) {
  EXPECT_THAT(RendezvousOrder({"data", 0, 0}, {}), IsEmpty());
  EXPECT_THAT(RendezvousOrder({"data", 0, 0}, {"a:1"}), ElementsAre("a:1"));
}

TEST(Rendezvous, SpreadsShardsEvenly) {
  std::map<std::string, int> counts;
  for (const std::string& owner : Owners(Teachers())) ++counts[owner];
  for (const std::string& name : Teachers()) {
    // Binomial: 2500 expected, deviation sqrt(10,000 * 1/4 * 3/4) = 43; 5 deviations.
    EXPECT_NEAR(counts[name], kShards / 4, 217) << name;
  }
}

TEST(Rendezvous, OneThatGoesMovesItsOwnShardsAloneAndEvenly) {
  std::vector<std::string> left = Teachers();
  left.erase(left.begin() + 1);
  const std::vector<std::string> before = Owners(Teachers());
  const std::vector<std::string> after = Owners(left);
  std::map<std::string, int> heirs;
  for (int shard = 0; shard < kShards; ++shard) {
    if (before[shard] == Teachers()[1]) {
      ++heirs[after[shard]];
    } else {
      ASSERT_EQ(after[shard], before[shard]) << shard;
    }
  }
  for (const std::string& name : left) {
    // 833 of about 2500 expected, deviation sqrt(2500 * 1/3 * 2/3) = 24, and that of the 2500.
    EXPECT_NEAR(heirs[name], kShards / 12, 150) << name;
  }
}

TEST(Rendezvous, TheSecondChoiceIsWhoeverInheritsTheShard) {
  for (int shard = 0; shard < 100; ++shard) {
    const auto order = RendezvousOrder({"data", shard, 0}, Teachers());
    EXPECT_EQ(RendezvousOrder({"data", shard, 0}, {order.begin() + 1, order.end()}).front(),
              order[1]);
  }
}

TEST(Rendezvous, ViewsAndDataSetsOfAShardAreSpreadToo) {
  std::map<std::string, int> by_view;
  std::map<std::string, int> by_data;
  for (int i = 0; i < 400; ++i) {
    ++by_view[RendezvousOrder({"data", 0, i}, Teachers()).front()];
    ++by_data[RendezvousOrder({absl::StrCat("data", i), 0, 0}, Teachers()).front()];
  }
  for (const std::string& name : Teachers()) {
    EXPECT_GT(by_view[name], 50) << name;
    EXPECT_GT(by_data[name], 50) << name;
  }
}

}  // namespace
}  // namespace distillery
