#include "common/data/shared_samples.h"

#include "common/data/idx.h"
#include "tests/common/data/files.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

// Pictures of two pixels; the first `train_count` are for training.
std::shared_ptr<const StoredSamples> Pictures(const std::vector<std::string>& pixels,
                                              size_t train_count) {
  auto samples = std::make_shared<StoredSamples>();
  samples->name = "pictures";
  samples->spec = SampleSpec::Pictures({1, 1, 2}, 255);
  samples->class_names = {"a", "b"};
  for (size_t i = 0; i < pixels.size(); ++i) {
    samples->records.insert(samples->records.end(), pixels[i].begin(), pixels[i].end());
    samples->labels.push_back(static_cast<int32_t>(i % 2));
    (i < train_count ? samples->train : samples->test).push_back(static_cast<int64_t>(i));
  }
  return samples;
}

TEST(FindSharedSamples, FindsTestSamplesWhosePixelsTrainHas) {
  // "cc" is twice in test; "aa" and "cc" are in train.
  const auto samples = Pictures({"aa", "bb", "cc", "cc", "ac", "cc", "cc", "aa", "ca"}, 4);
  ASSERT_OK_AND_ASSIGN(const auto train, Dataset::Create(samples, {"pictures", "train", 2}));
  ASSERT_OK_AND_ASSIGN(const auto test, Dataset::Create(samples, {"pictures", "test", 2}));
  ASSERT_OK_AND_ASSIGN(const SharedSamples shared, FindSharedSamples(*train, *test));
  EXPECT_EQ(shared.count, 3);
  ASSERT_EQ(shared.first.size(), 3U);
  for (const auto& [row_of_test, row_of_train] : shared.first) {
    EXPECT_EQ(PixelsOf(*test, row_of_test), PixelsOf(*train, row_of_train));
  }
  ASSERT_OK_AND_ASSIGN(const SharedSamples all, FindSharedSamples(*train, *train));
  EXPECT_EQ(all.count, 4);
}

TEST(FindSharedSamples, ReadsFilesBlockByBlock) {
  TemporaryFolder folder;
  WriteIdxFolder(folder.path());
  ASSERT_OK_AND_ASSIGN(StoredSamples read, ReadIdxFolder("tiny", folder.path()));
  const auto samples = std::make_shared<const StoredSamples>(std::move(read));
  ASSERT_OK_AND_ASSIGN(const auto train, Dataset::Create(samples, {"tiny", "train", 2}));
  ASSERT_OK_AND_ASSIGN(const auto test, Dataset::Create(samples, {"tiny", "test", 2}));
  ASSERT_OK_AND_ASSIGN(const SharedSamples shared, FindSharedSamples(*train, *test));
  EXPECT_EQ(shared.count, 0);
}

}  // namespace
}  // namespace distillery
