// Students that take smaller pictures than the data set has.
#include "common/data/digits.h"
#include "common/data/image_resize.h"
#include "student_worker/training/torch_tasks.h"
#include "tests/student_worker/training/train_fixture.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

// The digits, stored as 4 x 4.
std::shared_ptr<const StoredSamples> SmallDigits() {
  auto samples = std::make_shared<StoredSamples>(*ReadBuiltInDigits());
  std::vector<uint8_t> records;
  for (int64_t i = 0; i < samples->size(); ++i) {
    const uint8_t* const stored = samples->Record(i);
    const absl::StatusOr<Image> image =
        Resize({samples->shape(), {stored, stored + samples->shape().size()}}, 4, 4);
    records.insert(records.end(), image->pixels.begin(), image->pixels.end());
  }
  samples->records = std::move(records);
  samples->spec = SampleSpec::Pictures({1, 4, 4}, samples->pixel_max());
  return samples;
}

class UnlikeSizesTest : public TrainFixture {
 protected:
  UnlikeSizesTest() { spec_.student.picture = {4, 4}; }

  absl::StatusOr<TrainResult> TrainOn(const Dataset& dataset) {
    TrainJob job;
    job.spec = &spec_;
    job.weights = &initial_->weights;
    job.card = &initial_->card;
    job.dataset = &dataset;
    job.teacher = &source_;
    job.cancel = &cancel_;
    return TrainReplica(job);
  }
  absl::StatusOr<EvaluationMetrics> EvaluateOn(const Dataset& dataset) {
    EvaluationJob job;
    job.spec = &spec_;
    job.weights = &initial_->weights;
    job.card = &initial_->card;
    job.dataset = &dataset;
    job.cancel = &cancel_;
    return EvaluateWeights(job);
  }

  RunSpec spec_ = MakeSpec("mlp:16-16-10");
  absl::StatusOr<InitialWeights> initial_ = absl::UnknownError("not made");
};

TEST_F(UnlikeSizesTest, AStudentTrainsAndIsEvaluatedAsOnDataThatIsStoredInItsSize) {
  initial_ = MakeInitialWeights(spec_, *dataset_);
  ASSERT_THAT(initial_, IsOk());
  EXPECT_EQ(initial_->card.samples.picture_shape(), (ImageShape{1, 4, 4}));
  const std::shared_ptr<const StoredSamples> samples = SmallDigits();
  const auto small = *Dataset::Create(samples, {"digits", "train", 128});
  ASSERT_OK_AND_ASSIGN(const TrainResult got, TrainOn(*dataset_));
  ASSERT_OK_AND_ASSIGN(const TrainResult expected, TrainOn(*small));
  EXPECT_EQ(got.delta.Sha256(), expected.delta.Sha256());
  EXPECT_EQ(got.metrics.loss, expected.metrics.loss);

  const auto small_test = *Dataset::Create(samples, {"digits", "test", 128});
  ASSERT_OK_AND_ASSIGN(const auto test, catalog_.Open({"digits", "test", 128}));
  ASSERT_OK_AND_ASSIGN(const EvaluationMetrics figures, EvaluateOn(*test));
  ASSERT_OK_AND_ASSIGN(const EvaluationMetrics same, EvaluateOn(*small_test));
  EXPECT_EQ(figures.cross_entropy, same.cross_entropy);
  EXPECT_EQ(figures.correct_count, same.correct_count);
}

// One rule for models of all sizes: teacher and student of one data set agree on them.
TEST_F(UnlikeSizesTest, TheCardsMeanAndDeviationAreThoseOfThePixelsAsStored) {
  ASSERT_OK_AND_ASSIGN(const InitialWeights small, MakeInitialWeights(spec_, *dataset_));
  ASSERT_OK_AND_ASSIGN(const InitialWeights full, MakeInitialWeights(MakeSpec(), *dataset_));
  EXPECT_EQ(small.card.mean, full.card.mean);
  EXPECT_EQ(small.card.deviation, full.card.deviation);
}

TEST_F(UnlikeSizesTest, AStudentForLargerPicturesThanTheDataHasIsRefused) {
  spec_.student.picture = {16, 4};
  EXPECT_THAT(MakeInitialWeights(spec_, *dataset_),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("student.picture: pictures of 8 x 8 are not grown to 16 x 4")));
}

}  // namespace
}  // namespace distillery
