#include "common/data/seen_records.h"

#include <cstring>

#include "common/data/numbers.h"
#include "common/data/pixels.h"
#include "tests/common/data/files.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

constexpr char kAll[] = "affine:20+color:30+noise:10+mask:30";

// Six samples of a picture, sound and tokens, with one class each.
StoredSamples Mixed() {
  StoredSamples samples;
  samples.name = "mixed";
  samples.class_names = {"a", "b"};
  samples.spec.inputs = {{"image", ElementType::kUInt8, {1, 3, 5}, 255, 0},
                         {"audio", ElementType::kFloat32, {1, 7}, 0, 0},
                         {"tokens", ElementType::kInt64, {4}, 0, 9}};
  for (int64_t i = 0; i < 6; ++i) {
    for (int64_t j = 0; j < 15; ++j) samples.records.push_back(static_cast<uint8_t>(i * 40 + j));
    for (int64_t j = 0; j < 7; ++j) {
      const auto number = static_cast<float>(i + j);
      const auto* const bytes = reinterpret_cast<const uint8_t*>(&number);
      samples.records.insert(samples.records.end(), bytes, bytes + 4);
    }
    for (int64_t j = 0; j < 4; ++j) {
      const int64_t token = 1 + (i + j) % 8;
      const auto* const bytes = reinterpret_cast<const uint8_t*>(&token);
      samples.records.insert(samples.records.end(), bytes, bytes + 8);
    }
    samples.labels.push_back(static_cast<int32_t>(i % 2));
  }
  samples.train = IndexList::Range(0, 6);
  samples.test = IndexList::Range(0, 6);
  return samples;
}

std::shared_ptr<const Dataset> Open(StoredSamples samples) {
  auto dataset = Dataset::Create(std::make_shared<const StoredSamples>(std::move(samples)),
                                 {"mixed", "train", 2});
  EXPECT_THAT(dataset, IsOk());
  return *dataset;
}

View ViewOf(const char* text) {
  View view;
  view.augmentation = *Augmentation::Parse(text);
  view.seed = 3;
  view.view = 2;
  return view;
}

std::vector<uint8_t> Records(const Dataset& dataset, const std::vector<int64_t>& rows,
                             const View& view) {
  std::vector<uint8_t> records(rows.size() * static_cast<size_t>(dataset.record_bytes()));
  EXPECT_THAT(LoadRecords(dataset, rows, view, records.data()), IsOk());
  return records;
}

TEST(SeenRecords, RowByRowAreThoseOfManyRows) {
  const auto dataset = Open(Mixed());
  const View view = ViewOf(kAll);
  const std::vector<uint8_t> all = Records(*dataset, {0, 1, 2, 3, 4, 5}, view);
  std::vector<uint8_t> one_by_one;
  for (int64_t row = 0; row < 6; ++row) {
    const std::vector<uint8_t> record = Records(*dataset, {row}, view);
    one_by_one.insert(one_by_one.end(), record.begin(), record.end());
  }
  EXPECT_EQ(all, one_by_one);
  EXPECT_NE(all, Records(*dataset, {0, 1, 2, 3, 4, 5}, View{}));
}

// A teacher's records and a student's numbers.
TEST(SeenRecords, RecordsAndNumbersAreTheSame) {
  const auto dataset = Open(Mixed());
  const View view = ViewOf(kAll);
  const std::vector<int64_t> rows = {4, 1};
  const std::vector<uint8_t> records = Records(*dataset, rows, view);
  std::vector<float> image(30);
  std::vector<float> audio(14);
  std::vector<int64_t> tokens(8);
  std::vector<int64_t> labels(2);
  ASSERT_THAT(LoadNumbers(*dataset, rows, view,
                          {{image.data(), audio.data(), tokens.data()}, labels.data()}),
              IsOk());
  for (size_t row = 0; row < 2; ++row) {
    const uint8_t* const record = records.data() + row * 75;
    for (size_t i = 0; i < 15; ++i) {
      EXPECT_EQ(image[row * 15 + i], static_cast<float>(record[i]) / 255.0F);
    }
    EXPECT_EQ(std::memcmp(audio.data() + row * 7, record + 15, 28), 0);
    EXPECT_EQ(std::memcmp(tokens.data() + row * 4, record + 43, 32), 0);
    EXPECT_EQ(labels[row], dataset->Label(rows[row]));
  }
}

TEST(SeenRecords, WhatDoesNotFitIsRefused) {
  const auto dataset = Open(Mixed());
  EXPECT_THAT(CheckView(*dataset, ViewOf(kAll)), IsOk());
  SampleSpec pixels = SampleSpec::Pictures({3, 4, 5}, 255);
  pixels.answer.positions = {4, 5};
  EXPECT_THAT(Augmentation::Parse("color:10")->CheckSuits(pixels, "roads"), IsOk());
  for (const char* const text : {"affine:9", "erase", "color:10+flip", "resized_crop"}) {
    EXPECT_THAT(Augmentation::Parse(text)->CheckSuits(pixels, "roads"),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("moves pictures, but not the labels of their pixels; data set "
                                   "roads is ")));
  }
  const SampleSpec pictures = SampleSpec::Pictures({3, 4, 5}, 255);
  for (const char* const text : {"flip+mask:9", "noise:1", "shift:1", "gain:1"}) {
    EXPECT_THAT(Augmentation::Parse(text)->CheckSuits(pictures, "cats"),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(" is for ")));
  }
}

}  // namespace
}  // namespace distillery
