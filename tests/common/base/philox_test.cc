#include "common/base/philox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "common/base/checksum.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;

// Known answers of philox4x32-10 in Random123's kat_vectors.
TEST(Philox, GivesTheAnswersOfRandom123) {
  EXPECT_THAT(Philox4x32({0, 0, 0, 0}, {0, 0}),
              ElementsAre(0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8));
  EXPECT_THAT(
      Philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
      ElementsAre(0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd));
  // The digits of pi.
  EXPECT_THAT(
      Philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
      ElementsAre(0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1));
}

std::vector<uint32_t> First(RandomStream stream, int count) {
  std::vector<uint32_t> values;
  for (int i = 0; i < count; ++i) values.push_back(stream.Next32());
  return values;
}

TEST(RandomStream, IsAFunctionOfItsNamesAlone) {
  EXPECT_EQ(First(RandomStream(7, "shuffle", 1, 2), 9), First(RandomStream(7, "shuffle", 1, 2), 9));
}

TEST(RandomStream, EveryPartOfTheNameMatters) {
  const std::set<std::vector<uint32_t>> streams = {
      First(RandomStream(7, "shuffle", 1, 2), 4), First(RandomStream(8, "shuffle", 1, 2), 4),
      First(RandomStream(7, "order", 1, 2), 4),   First(RandomStream(7, "shuffle", 2, 1), 4),
      First(RandomStream(7, "shuffle", 1, 3), 4), First(RandomStream(7, "shuffle", 0, 2), 4),
      First(RandomStream(-7, "shuffle", 1, 2), 4)};
  EXPECT_EQ(streams.size(), 7);
}

TEST(RandomStream, BelowStaysBelowAndReachesEveryValue) {
  RandomStream stream(1, "test");
  std::map<uint64_t, int> counts;
  for (int i = 0; i < 3000; ++i) ++counts[stream.Below(3)];
  EXPECT_EQ(counts.size(), 3);
  EXPECT_LT(counts.rbegin()->first, 3);
  // 1000 expected each, deviation sqrt(3000 * 1/3 * 2/3) = 26: within six of them.
  for (const auto& [value, count] : counts) EXPECT_NEAR(count, 1000, 156) << value;
  EXPECT_EQ(RandomStream(1, "test").Below(1), 0);
}

TEST(RandomStream, UniformIsInZeroToBelowOneWithMeanOneHalf) {
  RandomStream stream(1, "test");
  double sum = 0;
  for (int i = 0; i < 10'000; ++i) {
    const float value = stream.Uniform();
    ASSERT_GE(value, 0);
    ASSERT_LT(value, 1);
    sum += value;
  }
  // Deviation of the mean: sqrt(1/12 / 10000) = 0.0029.
  EXPECT_NEAR(sum / 10'000, 0.5, 6 * 0.0029);
}

TEST(Permutation, HoldsEachNumberOnce) {
  std::vector<int64_t> order = Permutation(1000, RandomStream(3, "order"));
  EXPECT_FALSE(std::is_sorted(order.begin(), order.end()));
  std::sort(order.begin(), order.end());
  for (int64_t i = 0; i < 1000; ++i) ASSERT_EQ(order[i], i);
}

TEST(Permutation, OfNothingAndOfOneAreWhatTheyMustBe) {
  EXPECT_THAT(Permutation(0, RandomStream(3, "order")), ElementsAre());
  EXPECT_THAT(Permutation(1, RandomStream(3, "order")), ElementsAre(0));
}

// The order of every data set is made of these: they may never change.
TEST(Permutation, IsTheOneOnRecordAtBothSizes) {
  const std::vector<int64_t> order = Permutation(1'000'003, RandomStream(1, "sample-order"));
  EXPECT_EQ(
      Sha256Hex({reinterpret_cast<const char*>(order.data()), order.size() * sizeof(int64_t)}),
      "2e8bf5281ab859d355e6fec53f4534ef531d85cb4e86774ef6789ee6a799b591");
  const std::vector<uint32_t> small = Permutation32(1'000'003, RandomStream(1, "sample-order"));
  EXPECT_TRUE(std::equal(order.begin(), order.end(), small.begin(), small.end()));
}

TEST(DeriveSeed, EveryIndexMatters) {
  const std::set<uint64_t> seeds = {DeriveSeed(1, "a"),       DeriveSeed(2, "a"),
                                    DeriveSeed(1, "b"),       DeriveSeed(1, "a", 1),
                                    DeriveSeed(1, "a", 0, 1), DeriveSeed(1, "a", 0, 0, 1)};
  EXPECT_EQ(seeds.size(), 6);
  EXPECT_EQ(DeriveSeed(1, "a", 2, 3, 4), DeriveSeed(1, "a", 2, 3, 4));
}

}  // namespace
}  // namespace distillery
