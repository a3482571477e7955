// What a model sees that takes pictures in another size than the data set has them.
#include "common/data/picture_lens.h"

#include <numeric>

#include "common/data/image_resize.h"
#include "common/data/numbers.h"
#include "common/data/picture_sizes.h"
#include "common/data/pixels.h"
#include "tests/common/data/files.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// Three pictures of any shape.
std::shared_ptr<const Dataset> Pictures(const ImageShape& shape, int pixel_max = 255) {
  StoredSamples samples = SortedByClass(3, 1);
  samples.spec = SampleSpec::Pictures(shape, pixel_max);
  samples.records.resize(static_cast<size_t>(3 * shape.size()));
  for (size_t i = 0; i < samples.records.size(); ++i) {
    samples.records[i] = static_cast<uint8_t>(i * 37 % static_cast<size_t>(pixel_max + 1));
  }
  return *Dataset::Create(std::make_shared<const StoredSamples>(std::move(samples)),
                          {"pictures", "train", 10});
}

View AnyView() { return {*Augmentation::Parse("crop:2+flip"), 5, 1}; }

InputSpec Taken(const ImageShape& shape) { return SampleSpec::Pictures(shape, 255).inputs[0]; }

// By hand: the view of the stored picture, and the resize of that.
Image Seen(const Dataset& dataset, int64_t row, const View& view, int64_t height, int64_t width) {
  Image image{dataset.shape(), std::vector<uint8_t>(static_cast<size_t>(dataset.shape().size()))};
  EXPECT_THAT(LoadRecords(dataset, {row}, view, image.pixels.data()), IsOk());
  const absl::StatusOr<Image> resized = Resize(image, height, width);
  EXPECT_THAT(resized, IsOk());
  return *resized;
}

TEST(PictureLens, ShowsTheAreaResizeOfTheAugmentedPicture) {
  for (const int64_t channels : {1, 3}) {
    for (const auto& [height, width] : {std::pair(4, 3), std::pair(8, 3), std::pair(1, 6)}) {
      for (const int pixel_max : {16, 255}) {
        const auto dataset = Pictures({channels, 8, 6}, pixel_max);
        const InputSpec taken = Taken({channels, height, width});
        for (const View& view : {View{}, AnyView()}) {
          std::vector<uint8_t> bytes(static_cast<size_t>(3 * taken.elements()), 77);
          std::vector<float> floats(bytes.size(), -1);
          ASSERT_THAT(LoadPictures(*dataset, {2, 0, 1}, view, taken, bytes.data()), IsOk());
          ASSERT_THAT(LoadNumbers(*dataset, {2, 0, 1}, view, {taken}, {{floats.data()}}), IsOk());
          std::vector<uint8_t> expected;
          for (const int64_t row : {2, 0, 1}) {
            const Image image = Seen(*dataset, row, view, height, width);
            expected.insert(expected.end(), image.pixels.begin(), image.pixels.end());
          }
          EXPECT_EQ(bytes, expected);
          for (size_t i = 0; i < bytes.size(); ++i) {
            EXPECT_EQ(floats[i], static_cast<float>(expected[i]) / static_cast<float>(pixel_max));
          }
        }
      }
    }
  }
}

TEST(PictureLens, OfTheSameSizeThePictureIsAsItWas) {
  const auto dataset = Pictures({3, 4, 4});
  const InputSpec taken = Taken({3, 4, 4});
  for (const View& view : {View{}, AnyView()}) {
    std::vector<uint8_t> bytes(48);
    std::vector<uint8_t> expected(48);
    ASSERT_THAT(LoadPictures(*dataset, {1}, view, taken, bytes.data()), IsOk());
    ASSERT_THAT(LoadRecords(*dataset, {1}, view, expected.data()), IsOk());
    EXPECT_EQ(bytes, expected);
  }
}

TEST(PictureLens, TakesPicturesOfAnyNumberOfChannels) {
  const auto dataset = Pictures({2, 2, 2});
  std::vector<uint8_t> bytes(2);
  ASSERT_THAT(LoadPictures(*dataset, {0}, View{}, Taken({2, 1, 1}), bytes.data()), IsOk());
  std::vector<uint8_t> stored(8);
  ASSERT_THAT(LoadRecords(*dataset, {0}, View{}, stored.data()), IsOk());
  for (size_t channel = 0; channel < 2; ++channel) {
    const int sum = std::accumulate(stored.begin() + static_cast<int64_t>(4 * channel),
                                    stored.begin() + static_cast<int64_t>(4 * channel + 4), 0);
    EXPECT_EQ(bytes[channel], (sum + 2) / 4);
  }
}

TEST(PictureLens, NoPictureIsGrownAndNoChannelMade) {
  const auto dataset = Pictures({1, 4, 4});
  std::vector<float> floats(64);
  for (const ImageShape& shape :
       {ImageShape{1, 5, 4}, ImageShape{1, 4, 5}, ImageShape{1, 2, 8}, ImageShape{3, 4, 4}}) {
    EXPECT_THAT(LoadNumbers(*dataset, {0}, View{}, {Taken(shape)}, {{floats.data()}}),
                StatusIs(kInvalid, HasSubstr("cannot be made of image uint8 [1, 4, 4]")));
  }
  EXPECT_THAT(LoadNumbers(*dataset, {0}, View{}, {}, {{floats.data()}}),
              StatusIs(kInvalid, HasSubstr("other inputs than those of data set pictures")));
}

TEST(PictureSizes, OnlySmallerPicturesOfAsManyChannelsTakeTheModelsSize) {
  const SampleSpec data = SampleSpec::Pictures({3, 8, 6}, 16);
  const auto size = [&](const ImageShape& taken) {
    return InSizesOf({Taken(taken)}, data).picture_shape();
  };
  EXPECT_EQ(size({3, 4, 6}), (ImageShape{3, 4, 6}));
  EXPECT_EQ(size({3, 8, 7}), data.picture_shape());
  EXPECT_EQ(size({1, 4, 4}), data.picture_shape());
  EXPECT_EQ(InSizesOf({Taken({3, 4, 4})}, data).inputs[0].pixel_max, 16);
  EXPECT_EQ(InSizesOf({}, data), data);
  SampleSpec row;
  row.inputs = {{"features", ElementType::kFloat32, {3}, 0, 0}};
  EXPECT_EQ(InSizesOf({Taken({3, 4, 4})}, row), row);
}

TEST(PictureSizes, AMessageAboutALargerPictureNamesBothSizesAndAWayOut) {
  const SampleSpec data = SampleSpec::Pictures({3, 8, 6}, 16);
  EXPECT_EQ(DescribeGrowth({Taken({3, 8, 6})}, data), "");
  EXPECT_EQ(DescribeGrowth({Taken({3, 2, 2})}, data), "");
  EXPECT_THAT(DescribeGrowth({Taken({3, 9, 6})}, data),
              AllOf(HasSubstr("pictures of 8 x 6 are not grown to 9 x 6"),
                    HasSubstr("\"height\": 9, \"width\": 6 in the dataset.json")));
  EXPECT_THAT(Shrunk(data, 8, 7), StatusIs(kInvalid, HasSubstr("8 x 6 are not grown to 8 x 7")));
  SampleSpec row;
  row.inputs = {{"features", ElementType::kFloat32, {3}, 0, 0}};
  EXPECT_THAT(Shrunk(row, 1, 1), StatusIs(kInvalid, HasSubstr("the data has no picture")));
}

}  // namespace
}  // namespace distillery
