#include "common/data/seen_records.h"

#include <cstring>
#include <tuple>

#include "common/base/checksum.h"
#include "common/data/digits.h"
#include "common/data/numbers.h"
#include "common/data/pixels.h"
#include "common/data/record_rows.h"
#include "tests/common/data/records.h"

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
  const auto dataset = OpenTrain(Mixed());
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
  const auto dataset = OpenTrain(Mixed());
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
  const auto dataset = OpenTrain(Mixed());
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

// Whoever reads records, as numbers or as they are: no check before it is needed.
TEST(SeenRecords, ReadingWithAPartThatDoesNothingIsRefused) {
  const auto digits = *Dataset::Create(std::make_shared<const StoredSamples>(*ReadBuiltInDigits()),
                                       {"digits", "test", 64});
  std::vector<uint8_t> record(static_cast<size_t>(digits->record_bytes()));
  std::vector<float> pixels(record.size());
  for (const char* const text : {"shift:3", "flip+mask:9"}) {
    const auto refused = StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(" is for "));
    EXPECT_THAT(LoadRecords(*digits, {0}, ViewOf(text), record.data()), refused);
    EXPECT_THAT(LoadNumbers(*digits, {0}, ViewOf(text), {{pixels.data()}}), refused);
  }
}

// What caches hold was made of these bytes: they may never change.
TEST(SeenRecords, GiveTheBytesOnRecord) {
  const auto mixed = OpenTrain(Mixed());
  StoredSamples some = *ReadBuiltInDigits();
  const auto digits = *Dataset::Create(std::make_shared<const StoredSamples>(std::move(some)),
                                       {"digits", "test", 64});
  for (const auto& [text, of_mixed, of_digits] : {
           std::tuple("resized_crop", "3de6203381875ccc", "b261de62e43e67e6"),
           std::tuple("affine:20,2,15,10", "de98d0610db37494", "8d54524489db1c93"),
           std::tuple("elastic:2", "3c2ccaf72751dd42", "de3a10568567499d"),
           std::tuple("color:30,30,30,40", "3bdd484a99d85e91", "4c9d960f4a119845"),
           std::tuple("erase:80", "e3fcb554e5a3b539", "3964d3e629620068"),
           std::tuple("shift:3", "2221a3f42606f40a", "51865d328ebf2fb2"),
           std::tuple("gain:6", "bc55ec07aa757cb3", "51865d328ebf2fb2"),
           std::tuple("noise:10", "2bdd28b066934bb4", "51865d328ebf2fb2"),
           std::tuple("mask:40", "5b7ce40058064d52", "51865d328ebf2fb2"),
       }) {
    const View view = ViewOf(text);
    const auto digest = [&view](const Dataset& dataset) {
      std::vector<uint8_t> bytes;
      SeenRecords seen(dataset, view);
      EXPECT_THAT(ForEachRecord(dataset,
                                [&](int64_t row, const uint8_t* stored) {
                                  const uint8_t* const record = seen.See(row, stored);
                                  bytes.insert(bytes.end(), record,
                                               record + dataset.record_bytes());
                                }),
                  IsOk());
      return Sha256Hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()}).substr(0, 16);
    };
    EXPECT_EQ(digest(*mixed), of_mixed) << text;
    EXPECT_EQ(digest(*digits), of_digits) << text;
  }
}

// What a worker without the files has: the rows of a split, and where they are stored.
TEST(SeenRecords, OfASplitThatCameAloneAreThoseOfTheWhole) {
  StoredSamples stored = Mixed();
  stored.train = IndexList::Range(2, 4);
  const auto whole = OpenTrain(stored);
  StoredSamples alone = stored;
  alone.records.clear();
  alone.labels = {};
  std::vector<int64_t> indexes;
  for (int64_t row = 0; row < whole->size(); ++row) {
    indexes.push_back(whole->StoredIndex(row));
    const uint8_t* const record = stored.Record(indexes.back());
    alone.records.insert(alone.records.end(), record, record + stored.record_bytes());
    alone.labels.push_back(whole->Label(row));
  }
  ASSERT_OK_AND_ASSIGN(const auto sent,
                       Dataset::FromRows(std::make_shared<const StoredSamples>(std::move(alone)),
                                         indexes, stored.size(), {"mixed", "train", 2}));
  for (const char* const text : {kAll, "resized_crop+flip+erase", "elastic:1+shift:3+gain:6"}) {
    EXPECT_EQ(Records(*sent, {0, 1, 2, 3}, ViewOf(text)),
              Records(*whole, {0, 1, 2, 3}, ViewOf(text)))
        << text;
  }
}

}  // namespace
}  // namespace distillery
