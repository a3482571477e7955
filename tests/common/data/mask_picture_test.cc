#include "common/data/mask_picture.h"

#include "common/data/contact_sheet.h"
#include "common/data/dataset.h"
#include "common/data/number_ranges.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Two samples of one input, each with its record.
std::shared_ptr<const Dataset> Two(SampleSpec spec, std::vector<std::string> names,
                                   std::vector<uint8_t> records) {
  StoredSamples samples;
  samples.name = "two";
  samples.spec = std::move(spec);
  samples.class_names = std::move(names);
  samples.records = std::move(records);
  samples.labels = {0, 0};
  samples.train = IndexList::Range(0, 2);
  samples.test = IndexList::Range(0, 2);
  return *Dataset::Create(std::make_shared<const StoredSamples>(std::move(samples)),
                          {"two", "train", 10});
}

template <typename T>
void Append(T number, std::vector<uint8_t>* bytes) {
  const auto* const first = reinterpret_cast<const uint8_t*>(&number);
  bytes->insert(bytes->end(), first, first + sizeof number);
}

TEST(MaskPicture, EachClassHasAColourOfItsOwn) {
  // Hues of label * 137.508 degrees: 137.508 is green with 0.29 of blue, 275.016 blue with red.
  EXPECT_THAT(ClassColour(1), ElementsAre(0, 255, 74));
  EXPECT_THAT(ClassColour(2), ElementsAre(149, 0, 255));
  for (int64_t label = 1; label < 20; ++label) {
    EXPECT_NE(ClassColour(label), ClassColour(label + 1)) << label;
  }
}

TEST(MaskPicture, AClassAboveNoneIsHalfOfThePixel) {
  const Image grey{{1, 1, 3}, {100, 100, 200}};
  const Image drawn = DrawMask(grey, {0, 1, kNoLabel});
  EXPECT_EQ(drawn.shape, (ImageShape{3, 1, 3}));
  EXPECT_THAT(drawn.pixels, ElementsAre(100, 50, 200, 100, 178, 200, 100, 87, 200));
}

TEST(MaskPicture, AContactSheetShowsTheMasksOfPixels) {
  SampleSpec spec = SampleSpec::Pictures({1, 1, 2}, 16);
  spec.answer.positions = {1, 2};
  std::vector<uint8_t> records;
  for (int sample = 0; sample < 2; ++sample) {
    records.push_back(0);
    records.push_back(16);
    Append(int32_t{1}, &records);
    Append(int32_t{0}, &records);
  }
  ContactSheetOptions options;
  options.columns = 2;
  ASSERT_OK_AND_ASSIGN(const Image sheet,
                       MakeContactSheet(*Two(spec, {"none", "cat"}, records), options));
  // Samples of 1 x 2 become 16 x 32, with a line between.
  EXPECT_EQ(sheet.shape, (ImageShape{3, 16, 65}));
  const auto at = [&](int64_t c, int64_t x) { return sheet.pixels[c * 16 * 65 + x]; };
  EXPECT_EQ(at(1, 0), 128) << "half of the colour over black";
  EXPECT_EQ(at(0, 0), 0);
  EXPECT_EQ(at(0, 31), 255) << "no class";
  EXPECT_EQ(at(1, 33), 128) << "the second sample";
}

TEST(MaskPicture, AContactSheetIsForWhatCanBeDrawn) {
  const SampleSpec spec{{{"features", ElementType::kFloat32, {1}, 0, 0}}, {}};
  std::vector<uint8_t> records;
  Append(1.0F, &records);
  Append(2.0F, &records);
  EXPECT_THAT(MakeContactSheet(*Two(spec, {"a", "b"}, records), {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("shows pictures, and sound by class; data set two is features")));
}

TEST(NumberRanges, AreThoseOfEachFeatureAndValue) {
  SampleSpec spec{
      {{"features", ElementType::kFloat32, {2}, 0, 0}, {"mask", ElementType::kUInt8, {1}, 0, 0}},
      {}};
  spec.answer.kind = AnswerKind::kValues;
  std::vector<uint8_t> records;
  for (const float x : {1.0F, 3.0F}) {
    Append(x, &records);
    Append(-x, &records);
    records.push_back(1);
    Append(10 * x, &records);
  }
  ASSERT_OK_AND_ASSIGN(const NumberRanges ranges, MeasureNumbers(*Two(spec, {"price"}, records)));
  ASSERT_EQ(ranges.inputs.size(), 2);
  ASSERT_EQ(ranges.inputs[0].size(), 2);
  EXPECT_TRUE(ranges.inputs[1].empty()) << "bytes have no mean";
  EXPECT_EQ(ranges.inputs[0][1].low, -3);
  EXPECT_EQ(ranges.inputs[0][1].high, -1);
  EXPECT_EQ(ranges.inputs[0][1].mean, -2);
  EXPECT_EQ(ranges.inputs[0][1].deviation, 1) << "of 1 and 3";
  ASSERT_EQ(ranges.values.size(), 1);
  EXPECT_EQ(ranges.values[0].mean, 20);
}

}  // namespace
}  // namespace distillery
