#include "common/data/pixels.h"

#include <cstring>
#include <numeric>

#include "common/base/checksum.h"
#include "common/data/digits.h"
#include "common/data/numbers.h"
#include "tests/common/data/files.h"

namespace distillery {
namespace {

std::shared_ptr<const Dataset> Make(StoredSamples samples, const std::string& split = "train") {
  const std::string name = samples.name;
  return *Dataset::Create(std::make_shared<const StoredSamples>(std::move(samples)),
                          {name, split, 10});
}

View ViewOf(const std::string& augmentation, int64_t seed, int64_t view) {
  return {*Augmentation::Parse(augmentation), seed, view};
}

std::vector<int64_t> AllRows(const Dataset& dataset) {
  std::vector<int64_t> rows(static_cast<size_t>(dataset.size()));
  std::iota(rows.begin(), rows.end(), int64_t{0});
  return rows;
}

std::vector<float> Pixels(const Dataset& dataset, const std::vector<int64_t>& rows,
                          const View& view) {
  std::vector<float> output(rows.size() * static_cast<size_t>(dataset.shape().size()), -1);
  EXPECT_THAT(LoadNumbers(dataset, rows, view, {{output.data()}}), IsOk());
  return output;
}

std::vector<uint8_t> Bytes(const Dataset& dataset, const std::vector<int64_t>& rows,
                           const View& view) {
  std::vector<uint8_t> output(rows.size() * static_cast<size_t>(dataset.shape().size()), 77);
  EXPECT_THAT(LoadRecords(dataset, rows, view, output.data()), IsOk());
  return output;
}

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Three images of any shape, each byte another value.
StoredSamples ThreeImages(const ImageShape& shape) {
  StoredSamples samples = SortedByClass(3, 1);
  samples.spec = SampleSpec::Pictures(shape, 255);
  samples.records.resize(static_cast<size_t>(3 * shape.size()));
  for (size_t i = 0; i < samples.records.size(); ++i) {
    samples.records[i] = static_cast<uint8_t>(i * 37 % 256);
  }
  return samples;
}

TEST(ScalePixels, DividesEveryByteAsFloats) {
  for (const int pixel_max : {1, 16, 255}) {
    std::vector<uint8_t> bytes(256);
    std::iota(bytes.begin(), bytes.end(), uint8_t{0});
    std::vector<float> output(256);
    ScalePixels(bytes.data(), 256, pixel_max, output.data());
    for (int byte = 0; byte < 256; ++byte) {
      EXPECT_EQ(output[byte], static_cast<float>(byte) / static_cast<float>(pixel_max));
    }
  }
}

TEST(LoadNumbersOfPictures, ScalesToZeroToOneInTheOrderAskedFor) {
  StoredSamples samples = SortedByClass(3, 1);
  samples.records = {0, 51, 255};
  const auto dataset = Make(samples);
  const std::vector<int64_t> rows = {2, 0, 1, 2};
  const std::vector<float> output = Pixels(*dataset, rows, View{});
  for (size_t i = 0; i < rows.size(); ++i) {
    // 0, 51 / 255 = 0.2, 1
    const float expected[] = {0, 0.2F, 1};
    EXPECT_EQ(output[i], expected[dataset->StoredIndex(rows[i])]);
  }
}

TEST(LoadNumbersOfPictures, ViewIsKeyedByTheStoredIndexNotByTheRow) {
  const StoredSamples digits = *ReadBuiltInDigits();
  const View view = ViewOf("jitter:2+flip", 5, 3);
  const auto train = Make(digits, "train");
  const auto fit = Make(digits, "fit");
  // The same sample stands in other rows of the two splits.
  for (int64_t row = 0; row < 20; ++row) {
    int64_t other = 0;
    while (train->StoredIndex(other) != fit->StoredIndex(row)) ++other;
    EXPECT_EQ(Pixels(*fit, {row}, view), Pixels(*train, {other}, view));
  }
}

TEST(LoadNumbersOfPictures, IsLoadRecordsOverTheScaleBitForBit) {
  // 64 bytes with scale 16, then 3 x 5 x 7 and, larger than a page, 1 x 80 x 80 with scale 255.
  for (const auto& dataset :
       {Make(*ReadBuiltInDigits()), Make(ThreeImages({3, 5, 7})), Make(ThreeImages({1, 80, 80}))}) {
    const std::vector<int64_t> rows = AllRows(*dataset);
    const auto scale = static_cast<float>(dataset->pixel_max());
    for (const char* const augmentation : {"none", "jitter:2", "crop:4", "flip", "crop:4+flip"}) {
      const View view = ViewOf(augmentation, 5, 3);
      std::vector<float> expected;
      for (const uint8_t byte : Bytes(*dataset, rows, view)) {
        expected.push_back(static_cast<float>(byte) / scale);
      }
      EXPECT_TRUE(SameBits(Pixels(*dataset, rows, view), expected)) << augmentation;
    }
  }
}

TEST(LoadNumbersOfPictures, OfManyRowsIsThatOfEachRow) {
  const auto dataset = Make(ThreeImages({3, 5, 7}));
  for (const char* const augmentation : {"none", "crop:4+flip"}) {
    const View view = ViewOf(augmentation, 5, 3);
    std::vector<float> one_by_one;
    for (const int64_t row : {1, 1, 0, 2}) {
      const std::vector<float> pixels = Pixels(*dataset, {row}, view);
      one_by_one.insert(one_by_one.end(), pixels.begin(), pixels.end());
    }
    EXPECT_TRUE(SameBits(Pixels(*dataset, {1, 1, 0, 2}, view), one_by_one));
  }
  EXPECT_TRUE(Pixels(*dataset, {}, ViewOf("flip", 5, 3)).empty());
}

// As above for augmentations, the floats that a model is given may never change.
TEST(LoadNumbersOfPictures, GivesTheBitsOnRecord) {
  const auto digits = Make(*ReadBuiltInDigits());
  const std::vector<float> pixels = Pixels(*digits, AllRows(*digits), ViewOf("jitter:2", 5, 3));
  EXPECT_EQ(
      Sha256Hex({reinterpret_cast<const char*>(pixels.data()), pixels.size() * sizeof(float)}),
      "8ad3a434ad761557a8e3b4b4b6e4c361e74692d60e767637ff5c84d346ba853b");
}

TEST(LoadRecords, OfNoAugmentationAreTheStoredBytes) {
  const auto dataset = Make(ThreeImages({3, 5, 7}));
  const std::vector<uint8_t> bytes = Bytes(*dataset, {2, 0}, View{});
  EXPECT_EQ(std::memcmp(bytes.data(), PixelsOf(*dataset, 2).data(), 105), 0);
  EXPECT_EQ(std::memcmp(bytes.data() + 105, PixelsOf(*dataset, 0).data(), 105), 0);
}

TEST(LoadRecords, AreTheViewsOfTheStoredIndexes) {
  const auto dataset = Make(ThreeImages({3, 5, 7}));
  const View view = ViewOf("crop:2+flip", -8, 6);
  const std::vector<uint8_t> bytes = Bytes(*dataset, {0, 1, 2}, view);
  for (int64_t row = 0; row < 3; ++row) {
    std::vector<uint8_t> expected(105);
    view.augmentation.Apply(dataset->shape(), PixelsOf(*dataset, row).data(), -8,
                            dataset->StoredIndex(row), 6, expected.data());
    EXPECT_EQ(std::memcmp(bytes.data() + row * 105, expected.data(), 105), 0) << row;
  }
}

}  // namespace
}  // namespace distillery
