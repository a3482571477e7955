#include "common/data/dataset.h"

#include <functional>
#include <set>
#include <utility>

#include "common/data/digits.h"
#include "tests/common/data/files.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::shared_ptr<const Dataset> Make(StoredSamples samples, const std::string& split = "train",
                                    int64_t shard_size = 10) {
  const std::string name = samples.name;
  return *Dataset::Create(std::make_shared<const StoredSamples>(std::move(samples)),
                          {name, split, shard_size});
}

std::multiset<int64_t> Stored(const Dataset& dataset) {
  std::multiset<int64_t> indexes;
  for (int64_t row = 0; row < dataset.size(); ++row) indexes.insert(dataset.StoredIndex(row));
  return indexes;
}

TEST(Dataset, OrderHoldsEachSampleOfTheSplitOnce) {
  const auto dataset = Make(*ReadBuiltInDigits());
  const StoredSamples digits = *ReadBuiltInDigits();
  EXPECT_EQ(Stored(*dataset), std::multiset<int64_t>(digits.train.begin(), digits.train.end()));
}

TEST(Dataset, FitAndValidationAreTheTrainingSplitAsFourFifthsAndOneFifth) {
  const StoredSamples digits = *ReadBuiltInDigits();
  const auto fit = Make(digits, "fit");
  const auto validation = Make(digits, "validation");
  EXPECT_EQ(fit->size(), 1120);
  EXPECT_EQ(validation->size(), 280);
  std::multiset<int64_t> both = Stored(*fit);
  for (const int64_t index : Stored(*validation)) both.insert(index);
  EXPECT_EQ(both, std::multiset<int64_t>(digits.train.begin(), digits.train.end()));
}

TEST(Dataset, DataSortedByClassGivesNoOneClassShards) {
  const auto dataset = Make(SortedByClass(10, 100), "train", 100);
  ASSERT_EQ(dataset->shard_count(), 10);
  for (int64_t shard = 0; shard < 10; ++shard) {
    const RowRange rows = *dataset->Shard(shard);
    std::set<int32_t> classes;
    for (int64_t row = rows.first; row < rows.first + rows.count; ++row) {
      classes.insert(dataset->Label(row));
    }
    // 100 random samples of 10 classes: a class is missing with a chance of 0.9^100 = 3e-5.
    EXPECT_EQ(classes.size(), 10) << shard;
  }
}

TEST(Dataset, RowsKeepPixelsAndLabelsTogether) {
  const auto dataset = Make(SortedByClass(10, 10));
  for (int64_t row = 0; row < dataset->size(); ++row) {
    EXPECT_THAT(PixelsOf(*dataset, row), ElementsAre(dataset->Label(row)));
    EXPECT_EQ(dataset->StoredIndex(row) / 10, dataset->Label(row));
  }
}

TEST(Dataset, LastShardMayBeShorter) {
  const auto dataset = Make(SortedByClass(5, 5), "train", 10);
  EXPECT_EQ(dataset->shard_count(), 3);
  EXPECT_EQ(dataset->Shard(0)->first, 0);
  EXPECT_EQ(dataset->Shard(0)->count, 10);
  EXPECT_EQ(dataset->Shard(2)->first, 20);
  EXPECT_EQ(dataset->Shard(2)->count, 5);
  for (const int64_t shard : {int64_t{-1}, int64_t{3}}) {
    EXPECT_THAT(dataset->Shard(shard),
                StatusIs(absl::StatusCode::kNotFound, HasSubstr("shards are 0 to 2")));
  }
}

// Part of the contract between teacher, worker and coordinator of different builds: if this value
// changes, so must the "distillery dataset 1" that the digest begins with.
TEST(Dataset, DigestOfTheDigitsIsStable) {
  EXPECT_EQ(Make(*ReadBuiltInDigits(), "train", 128)->digest(),
            "ec57c342eea8c40076034e390fe5b477a03c6a145a30c4b985f71dd80a9013f9");
  EXPECT_EQ(Make(*ReadBuiltInDigits(), "test", 1000)->digest(),
            "77cc18dd18f99ea72d0516af77c0205bd350c284180cbd5f15746c10e80fcedf");
  EXPECT_EQ(Make(*ReadBuiltInDigits(), "fit", 1000)->digest(),
            "dc92f216026a1a7238b63158fa35d138c6fd60fcb4ab9438bf7775f099cf8a6e");
  EXPECT_EQ(Make(*ReadBuiltInDigits(), "validation", 1000)->digest(),
            "0fa4e3cc9556a08eafcd601730a159f6544019a79e7bcc10e0212cd3ef35ddc5");
}

TEST(Dataset, DigestChangesWithWhateverIsServed) {
  const StoredSamples base = SortedByClass(3, 4);
  std::set<std::string> digests = {Make(base)->digest()};
  EXPECT_EQ(digests.count(Make(base)->digest()), 1);
  const auto changed = [&](const std::function<void(StoredSamples&)>& change) {
    StoredSamples samples = base;
    change(samples);
    return Make(samples)->digest();
  };
  digests.insert(changed([](StoredSamples& s) { s.records[11] ^= 1; }));
  digests.insert(
      changed([](StoredSamples& s) { s.labels = {2, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2}; }));
  digests.insert(changed([](StoredSamples& s) { s.spec.inputs[0].pixel_max = 254; }));
  digests.insert(changed([](StoredSamples& s) { s.class_names[2] = "two"; }));
  digests.insert(changed([](StoredSamples& s) { s.train = IndexList::Range(0, 11); }));
  digests.insert(
      changed([](StoredSamples& s) { s.train = {1, 0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}; }));
  digests.insert(Make(base, "train", 9)->digest());
  EXPECT_EQ(digests.size(), 8);
}

// The rows of a dataset by themselves, as one without the files gets them.
StoredSamples RowsOf(const Dataset& dataset) {
  StoredSamples rows;
  rows.name = dataset.reference().name;
  rows.spec = dataset.spec();
  rows.class_names = dataset.class_names();
  for (int64_t row = 0; row < dataset.size(); ++row) {
    const std::vector<uint8_t> pixels = PixelsOf(dataset, row);
    rows.records.insert(rows.records.end(), pixels.begin(), pixels.end());
    rows.labels.push_back(dataset.Label(row));
  }
  return rows;
}

TEST(Dataset, OneMadeOfItsRowsIsTheSame) {
  const auto whole = Make(*ReadBuiltInDigits(), "validation", 64);
  std::vector<int64_t> indexes;
  for (int64_t row = 0; row < whole->size(); ++row) indexes.push_back(whole->StoredIndex(row));
  ASSERT_OK_AND_ASSIGN(const auto rows,
                       Dataset::FromRows(std::make_shared<StoredSamples>(RowsOf(*whole)), indexes,
                                         whole->stored_size(), whole->reference()));
  EXPECT_EQ(rows->digest(), whole->digest());
  EXPECT_EQ(rows->size(), 280);
  EXPECT_EQ(rows->stored_size(), whole->stored_size());
  for (int64_t row = 0; row < rows->size(); ++row) {
    ASSERT_EQ(rows->StoredIndex(row), whole->StoredIndex(row));
    ASSERT_EQ(rows->Label(row), whole->Label(row));
    ASSERT_EQ(PixelsOf(*rows, row), PixelsOf(*whole, row));
  }
}

TEST(Dataset, RowsThatDoNotFitTogetherAreRefused) {
  const auto whole = Make(SortedByClass(2, 2));
  const auto make = [&](const std::function<void(StoredSamples&)>& change,
                        std::vector<int64_t> indexes, int64_t stored_size = 4) {
    StoredSamples rows = RowsOf(*whole);
    change(rows);
    return Dataset::FromRows(std::make_shared<StoredSamples>(rows), std::move(indexes), stored_size,
                             whole->reference())
        .status();
  };
  const auto nothing = [](StoredSamples&) {};
  EXPECT_THAT(make(nothing, {0, 1, 2, 3}), IsOk());
  EXPECT_THAT(make(nothing, {0, 1, 2}),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("4 samples have 3 stored indexes")));
  EXPECT_THAT(make(nothing, {0, 1, 2, 4}),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("stored index 4 is none of 4")));
  EXPECT_THAT(make(nothing, {0, -1, 2, 3}), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(make(
                  [](StoredSamples& rows) {
                    rows.labels = {0, 2, 1, 0};
                  },
                  {0, 1, 2, 3}),
              StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(make([](StoredSamples& rows) { rows.records.pop_back(); }, {0, 1, 2, 3}),
              StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(make([](StoredSamples& rows) { rows.labels = {}; }, {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no samples")));
}

TEST(Dataset, BadReferencesAreRefused) {
  const auto samples = std::make_shared<const StoredSamples>(SortedByClass(2, 2));
  EXPECT_THAT(Dataset::Create(samples, {"../x", "train", 10}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Dataset::Create(samples, {"x", "trian", 10}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("did you mean \"train\"")));
  for (const int64_t size : {int64_t{0}, int64_t{-1}, int64_t{65537}}) {
    EXPECT_THAT(Dataset::Create(samples, {"x", "train", size}),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("shard_size")));
  }
  EXPECT_THAT(Dataset::Create(samples, {"x", "test", 10}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no samples")));
}

}  // namespace
}  // namespace distillery
