#include "common/data/samples.h"

#include <functional>

#include "common/data/digits.h"
#include "tests/common/data/files.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// Two classes of two samples, one of each for testing; with one thing changed.
absl::Status Check(const std::function<void(StoredSamples&)>& change) {
  StoredSamples samples = SortedByClass(2, 2);
  samples.train = {0, 2};
  samples.test = {1, 3};
  change(samples);
  return CheckSamples(samples);
}

TEST(CheckSamples, TakesWhatIsWhole) {
  EXPECT_THAT(CheckSamples(*ReadBuiltInDigits()), IsOk());
  EXPECT_THAT(Check([](StoredSamples&) {}), IsOk());
}

TEST(CheckSamples, EmptySplitsAreRefusedByName) {
  EXPECT_THAT(Check([](StoredSamples& s) { s.train = {}; }),
              StatusIs(kInvalid, HasSubstr("sorted: split train has no samples")));
  EXPECT_THAT(Check([](StoredSamples& s) { s.test = {}; }),
              StatusIs(kInvalid, HasSubstr("split test")));
}

TEST(CheckSamples, LabelsMustBeClasses) {
  EXPECT_THAT(
      Check([](StoredSamples& s) {
        s.labels = {0, 0, 1, 2};
      }),
      StatusIs(kDataLoss, AllOf(HasSubstr("sample 3"), HasSubstr("label 2"), HasSubstr("0 to 1"))));
  EXPECT_THAT(Check([](StoredSamples& s) { s.class_names = {"one"}; }), StatusIs(kInvalid));
}

TEST(CheckSamples, PartsMustFitTogether) {
  EXPECT_THAT(Check([](StoredSamples& s) { s.records.pop_back(); }), StatusIs(kDataLoss));
  EXPECT_THAT(Check([](StoredSamples& s) { s.spec.inputs[0].shape[1] = 2; }), StatusIs(kDataLoss));
  EXPECT_THAT(Check([](StoredSamples& s) { s.spec.inputs[0].shape[1] = 0; }), StatusIs(kDataLoss));
  EXPECT_THAT(Check([](StoredSamples& s) { s.test.push_back(4); }),
              StatusIs(kDataLoss, HasSubstr("sample 4 of 4")));
  EXPECT_THAT(Check([](StoredSamples& s) { s.train = {-1, 2}; }), StatusIs(kDataLoss));
}

}  // namespace
}  // namespace distillery
