#include "common/data/shard_digests.h"

#include "absl/strings/str_cat.h"
#include "common/data/digits.h"
#include "tests/common/data/files.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;

// A split of `samples` in shards of `shard_size`.
SplitRows Rows(StoredSamples samples, const std::string& split, int64_t shard_size) {
  SplitRows rows;
  rows.samples = std::make_shared<const StoredSamples>(std::move(samples));
  rows.order = SampleOrder(*rows.samples, split);
  rows.shard_size = shard_size;
  return rows;
}

TEST(ShardDigests, AreOverPixelsLabelAndIndexOfEachRow) {
  const SplitRows rows = Rows(SortedByClass(3, 4), "train", 5);
  ASSERT_OK_AND_ASSIGN(const ShardDigests digests, ComputeShardDigests(rows, "x"));
  ASSERT_EQ(digests.shards.size(), 3U);
  for (int64_t shard = 0; shard < 3; ++shard) {
    Sha256 expected;
    for (int64_t row = 5 * shard; row < std::min<int64_t>(12, 5 * shard + 5); ++row) {
      const int label = static_cast<int>(rows.order[row]) / 4;
      expected.Update(std::string(1, static_cast<char>(label)));
      expected.Update(absl::StrCat(" ", label, " ", rows.order[row], "\n"));
    }
    EXPECT_EQ(digests.shards[shard], expected.Digest()) << shard;
    EXPECT_EQ(*ComputeShardDigest(rows, shard), digests.shards[shard]) << shard;
  }
  // Four of 0, four of 1, four of 2.
  EXPECT_THAT(digests.sums, ElementsAre(ChannelSums{12, 20}));
}

TEST(ShardDigests, SumsAreOfEachChannelByItself) {
  StoredSamples samples = SortedByClass(2, 1);
  samples.spec = SampleSpec::Pictures({3, 1, 2}, 255);
  samples.records = {255, 255, 1, 2, 0, 0, 255, 0, 3, 4, 0, 7};
  ASSERT_OK_AND_ASSIGN(const ShardDigests digests,
                       ComputeShardDigests(Rows(samples, "train", 10), "x"));
  EXPECT_THAT(digests.sums,
              ElementsAre(ChannelSums{765, 3 * 65025}, ChannelSums{10, 30}, ChannelSums{7, 49}));
}

TEST(ShardDigests, DoNotDependOnHowMuchIsReadAtOnce) {
  const StoredSamples digits = *ReadBuiltInDigits();
  for (const int64_t shard_size : {1, 7, 100, 5000}) {
    const SplitRows rows = Rows(digits, "fit", shard_size);
    ASSERT_OK_AND_ASSIGN(const ShardDigests at_once, ComputeShardDigests(rows, "x"));
    // One row, a part of a shard, a few shards.
    for (const int64_t window : {1, 64 * 50, 64 * 250}) {
      ASSERT_OK_AND_ASSIGN(const ShardDigests by_part, ComputeShardDigests(rows, "x", window));
      EXPECT_EQ(by_part.shards, at_once.shards) << shard_size << " " << window;
      EXPECT_EQ(by_part.sums, at_once.sums) << shard_size << " " << window;
    }
  }
}

}  // namespace
}  // namespace distillery
