// Which samples are trained on, and which labels they have.
#include "common/run/sample_selection.h"

#include <map>
#include <set>

#include "common/data/catalog.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

class SampleSelectionTest : public ::testing::Test {
 protected:
  SampleSelectionTest() : dataset_(*catalog_.Open({"digits", "train", 128})) {
    spec_.student.architecture = "mlp:64-10";
    spec_.training.local_epochs = 1;
  }
  SampleSelection Make() {
    EXPECT_THAT(ValidateRunSpec(spec_), IsOk());
    auto selection = SampleSelection::Create(spec_, *dataset_);
    EXPECT_THAT(selection, IsOk());
    return *std::move(selection);
  }
  std::set<int64_t> Rows(const SampleSelection& selection) {
    std::set<int64_t> rows;
    for (int64_t row = 0; row < dataset_->size(); ++row) {
      if (selection.Selected(row)) rows.insert(row);
    }
    return rows;
  }

  DatasetCatalog catalog_{""};
  const std::shared_ptr<const Dataset> dataset_;  // 1400 samples
  RunSpec spec_;
};

TEST_F(SampleSelectionTest, ByDefaultEverySampleHasItsLabel) {
  const SampleSelection selection = Make();
  EXPECT_EQ(selection.size(), 1400);
  for (int64_t row = 0; row < 1400; ++row) {
    ASSERT_TRUE(selection.Selected(row));
    ASSERT_EQ(selection.Label(row), dataset_->Label(row));
  }
  EXPECT_EQ(selection.shard_sizes(),
            std::vector<int64_t>({128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 120}));
}

TEST_F(SampleSelectionTest, ExcludedClassesAreLeftOut) {
  spec_.dataset.exclude_classes = {3, 8};
  const SampleSelection selection = Make();
  int64_t left = 0;
  for (int64_t row = 0; row < 1400; ++row) {
    const bool excluded = dataset_->Label(row) == 3 || dataset_->Label(row) == 8;
    ASSERT_EQ(selection.Selected(row), !excluded);
    left += excluded ? 0 : 1;
  }
  EXPECT_EQ(selection.size(), left);
  EXPECT_LT(left, 1200);
}

TEST_F(SampleSelectionTest, AFractionIsAsManySamplesDrawnByTheSeed) {
  spec_.dataset.sample_fraction = 0.03;
  const std::set<int64_t> rows = Rows(Make());
  EXPECT_EQ(rows.size(), 42);  // 0.03 * 1400
  EXPECT_EQ(Rows(Make()), rows);
  spec_.seed = 2;
  EXPECT_NE(Rows(Make()), rows);
}

TEST_F(SampleSelectionTest, TheSelectionDoesNotDependOnTheShards) {
  spec_.dataset.sample_fraction = 0.1;
  const std::set<int64_t> rows = Rows(Make());
  const auto other = *catalog_.Open({"digits", "train", 50});
  ASSERT_OK_AND_ASSIGN(const SampleSelection selection, SampleSelection::Create(spec_, *other));
  EXPECT_EQ(Rows(selection), rows);
}

TEST_F(SampleSelectionTest, SmallFractionsLeaveOneSample) {
  spec_.dataset.sample_fraction = 1e-9;
  EXPECT_EQ(Make().size(), 1);
}

TEST_F(SampleSelectionTest, AFractionOfZeroStandsForAllSamples) {
  spec_.dataset.sample_fraction = 0;
  EXPECT_EQ(Make().size(), 1400);
}

TEST_F(SampleSelectionTest, NoisyLabelsAreOtherClassesAndAsManyAsAsked) {
  spec_.dataset.label_noise = 0.2;
  const SampleSelection selection = Make();
  std::map<int32_t, int> wrong;
  int64_t count = 0;
  for (int64_t row = 0; row < 1400; ++row) {
    const int32_t label = selection.Label(row);
    ASSERT_GE(label, 0);
    ASSERT_LT(label, 10);
    ASSERT_EQ(selection.Label(row), label);
    if (label == dataset_->Label(row)) continue;
    ++count;
    ++wrong[label];
  }
  EXPECT_EQ(count, 280);        // 0.2 * 1400
  EXPECT_EQ(wrong.size(), 10);  // all classes come up
}

TEST_F(SampleSelectionTest, SamplesWithoutLabelsStayWithATeacherAlone) {
  spec_.dataset.labels = "0.1";
  const SampleSelection soft = Make();
  EXPECT_EQ(soft.size(), 1400);
  std::set<int64_t> labelled;
  for (int64_t row = 0; row < 1400; ++row) {
    if (soft.Label(row) != SampleSelection::kNoLabel) labelled.insert(row);
  }
  EXPECT_EQ(labelled.size(), 140);
  // Hard labels alone have nothing to say of the others, and both runs see the same labels.
  spec_.loss.alpha = 0;
  EXPECT_EQ(Rows(Make()), labelled);
}

TEST_F(SampleSelectionTest, WithoutAnyLabelNoneIsGiven) {
  spec_.dataset.labels = "none";
  const SampleSelection selection = Make();
  for (int64_t row = 0; row < 1400; ++row) {
    ASSERT_EQ(selection.Label(row), SampleSelection::kNoLabel);
  }
}

TEST_F(SampleSelectionTest, WhatTheDataDoNotHaveIsRefused) {
  spec_.dataset.exclude_classes = {10};
  EXPECT_THAT(SampleSelection::Create(spec_, *dataset_),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("classes 0 to 9")));
  spec_.dataset.exclude_classes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  EXPECT_THAT(SampleSelection::Create(spec_, *dataset_),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("leaves no sample")));
}

}  // namespace
}  // namespace distillery
