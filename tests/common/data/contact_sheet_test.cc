#include "common/data/contact_sheet.h"

#include "common/data/digits.h"
#include "tests/common/data/files.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

std::shared_ptr<const Dataset> Make(StoredSamples samples) {
  const std::string name = samples.name;
  return *Dataset::Create(std::make_shared<const StoredSamples>(std::move(samples)),
                          {name, "train", 10});
}

ContactSheetOptions Columns(int64_t columns) {
  ContactSheetOptions options;
  options.columns = columns;
  return options;
}

int At(const Image& sheet, int64_t y, int64_t x, int64_t channel = 0) {
  return sheet.pixels[(channel * sheet.shape.height + y) * sheet.shape.width + x];
}

TEST(MakeContactSheet, HasARowForEachClass) {
  StoredSamples samples = SortedByClass(2, 2);
  samples.records = {10, 10, 200, 200};
  ASSERT_OK_AND_ASSIGN(const Image sheet, MakeContactSheet(*Make(samples), Columns(2)));
  // Samples of 1 x 1 become 32 x 32, with a line between: 32 + 1 + 32.
  EXPECT_EQ(sheet.shape, (ImageShape{1, 65, 65}));
  EXPECT_EQ(At(sheet, 0, 0), 10);
  EXPECT_EQ(At(sheet, 31, 31), 10);
  EXPECT_EQ(At(sheet, 31, 64), 10);
  EXPECT_EQ(At(sheet, 33, 0), 200);
  EXPECT_EQ(At(sheet, 64, 64), 200);
  for (int64_t i = 0; i < 65; ++i) {
    EXPECT_EQ(At(sheet, 32, i), 128);
    EXPECT_EQ(At(sheet, i, 32), 128);
  }
}

TEST(MakeContactSheet, LeavesPlacesWithoutASampleBlank) {
  ASSERT_OK_AND_ASSIGN(const Image sheet, MakeContactSheet(*Make(SortedByClass(2, 1)), Columns(2)));
  EXPECT_EQ(At(sheet, 0, 0), 0);
  EXPECT_EQ(At(sheet, 0, 33), 128);
  EXPECT_EQ(At(sheet, 64, 64), 128);
}

TEST(MakeContactSheet, TakesTheFirstOfEachClassInTheDataSetsOrder) {
  const auto digits = Make(*ReadBuiltInDigits());
  ContactSheetOptions options = Columns(3);
  options.rows_per_class = 2;
  ASSERT_OK_AND_ASSIGN(const Image sheet, MakeContactSheet(*digits, options));
  // 8 x 8 becomes 32 x 32: 10 classes of 2 rows of 33, less the last line; 3 columns.
  ASSERT_EQ(sheet.shape, (ImageShape{1, 659, 98}));
  // The fifth sample of class 7 stands in its second row, second column.
  int64_t row = -1;
  for (int count = 0; count < 5;) {
    if (digits->Label(++row) == 7) ++count;
  }
  const std::vector<uint8_t> pixels = PixelsOf(*digits, row);
  for (int64_t y = 0; y < 8; ++y) {
    for (int64_t x = 0; x < 8; ++x) {
      // 0 to 16 becomes 0 to 255, rounded.
      const int expected = (pixels[y * 8 + x] * 255 + 8) / 16;
      EXPECT_EQ(At(sheet, 15 * 33 + 4 * y, 33 + 4 * x), expected);
      EXPECT_EQ(At(sheet, 15 * 33 + 4 * y + 3, 33 + 4 * x + 3), expected);
    }
  }
}

TEST(MakeContactSheet, ColourStaysColour) {
  StoredSamples samples = SortedByClass(2, 1);
  samples.spec = SampleSpec::Pictures({3, 1, 1}, 255);
  samples.records = {1, 2, 3, 4, 5, 6};
  ContactSheetOptions options = Columns(1);
  options.min_sample_side = 2;
  ASSERT_OK_AND_ASSIGN(const Image sheet, MakeContactSheet(*Make(samples), options));
  EXPECT_EQ(sheet.shape, (ImageShape{3, 5, 2}));
  EXPECT_EQ(At(sheet, 1, 1, 0), 1);
  EXPECT_EQ(At(sheet, 1, 1, 2), 3);
  EXPECT_EQ(At(sheet, 2, 1, 2), 128);
  EXPECT_EQ(At(sheet, 3, 0, 1), 5);
}

TEST(MakeContactSheet, LargeSamplesAreNotScaled) {
  StoredSamples samples = SortedByClass(2, 1);
  samples.spec = SampleSpec::Pictures({1, 3, 40}, 255);
  samples.records.assign(240, 9);
  ASSERT_OK_AND_ASSIGN(const Image sheet, MakeContactSheet(*Make(samples), Columns(1)));
  EXPECT_EQ(sheet.shape, (ImageShape{1, 7, 40}));
}

TEST(MakeContactSheet, ShowsTheFirstClassesOnlyIfAskedFor) {
  ContactSheetOptions options = Columns(1);
  options.max_classes = 2;
  ASSERT_OK_AND_ASSIGN(const Image sheet, MakeContactSheet(*Make(SortedByClass(5, 1)), options));
  EXPECT_EQ(sheet.shape.height, 65);
  options.max_classes = 9;
  EXPECT_EQ(MakeContactSheet(*Make(SortedByClass(5, 1)), options)->shape.height, 5 * 33 - 1);
}

TEST(MakeContactSheet, RefusesOptionsAndSheetsOutOfRange) {
  const auto dataset = Make(SortedByClass(2, 1));
  for (const int64_t columns : {int64_t{0}, int64_t{-1}, int64_t{1} << 62}) {
    EXPECT_THAT(MakeContactSheet(*dataset, Columns(columns)),
                StatusIs(kInvalid, HasSubstr("columns")));
  }
  EXPECT_THAT(MakeContactSheet(*dataset, Columns(10000)),
              StatusIs(kInvalid, HasSubstr("fewer columns")));
  ContactSheetOptions options;
  options.max_classes = -1;
  EXPECT_THAT(MakeContactSheet(*dataset, options), StatusIs(kInvalid, HasSubstr("max_classes")));
  StoredSamples two_channels = SortedByClass(2, 1);
  two_channels.spec = SampleSpec::Pictures({2, 1, 1}, 255);
  two_channels.records = {1, 2, 3, 4};
  EXPECT_THAT(MakeContactSheet(*Make(two_channels), {}), StatusIs(kInvalid, HasSubstr("have 2")));
}

TEST(ContactSheet, ShowsTheFirstSampleOfEachClassInItsViews) {
  StoredSamples samples;
  samples.name = "arrows";
  samples.spec = SampleSpec::Pictures({1, 1, 4}, 255);
  samples.class_names = {"a", "b"};
  samples.records = {10, 20, 30, 40, 50, 60, 70, 80, 1, 2, 3, 4};
  samples.labels = {0, 1, 0};
  samples.train = {0, 1, 2};
  samples.test = {0};
  const auto dataset = *Dataset::Create(std::make_shared<const StoredSamples>(std::move(samples)),
                                        {"arrows", "test", 4});
  ContactSheetOptions options;
  options.columns = 9;
  options.max_classes = 1;
  options.min_sample_side = 1;
  options.augmentation = *Augmentation::Parse("flip");
  ASSERT_OK_AND_ASSIGN(const Image sheet, MakeContactSheet(*dataset, options));
  ASSERT_EQ(sheet.shape.width, 9 * 5 - 1);
  const auto first = [&](int64_t place) {
    return int{sheet.pixels[static_cast<size_t>(5 * place)]};
  };
  EXPECT_EQ(first(0), 10);
  int flipped = 0;
  for (int64_t place = 1; place < 9; ++place) {
    EXPECT_TRUE(first(place) == 10 || first(place) == 40);
    flipped += first(place) == 40 ? 1 : 0;
  }
  EXPECT_GT(flipped, 0);
  EXPECT_LT(flipped, 8);
}

}  // namespace
}  // namespace distillery
