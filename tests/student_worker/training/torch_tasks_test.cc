#include "student_worker/training/torch_tasks.h"

#include <cmath>

#include "tests/student_worker/training/train_fixture.h"

namespace distillery {
namespace {

class EvaluateWeightsTest : public TrainFixture {
 protected:
  EvaluateWeightsTest() : test_(*catalog_.Open({"digits", "test", 128})), teacher_(test_.get()) {}

  // All zero: every class has the logit 0, and the first one wins.
  absl::StatusOr<EvaluationMetrics> EvaluateZero(SoftTargetSource* teacher) {
    const RunSpec spec = MakeSpec();
    const auto initial = MakeInitialWeights(spec, *dataset_);
    const Weights zero(initial->weights.layout());
    EvaluationJob job;
    job.spec = &spec;
    job.weights = &zero;
    job.card = &initial->card;
    job.dataset = test_.get();
    job.teacher = teacher;
    job.teacher_digest = "pinned";
    job.cancel = &cancel_;
    return EvaluateWeights(job);
  }
  int64_t CountLabel(int32_t label) {
    int64_t count = 0;
    for (int64_t row = 0; row < test_->size(); ++row) count += test_->Label(row) == label ? 1 : 0;
    return count;
  }

  std::shared_ptr<const Dataset> test_;
  FakeSource teacher_;
};

TEST_F(EvaluateWeightsTest, CountsWhatIsRightAndWhatTheTeacherSaysToo) {
  ASSERT_OK_AND_ASSIGN(const EvaluationMetrics metrics, EvaluateZero(&teacher_));
  EXPECT_EQ(metrics.sample_count, 397);
  EXPECT_EQ(metrics.correct_count, CountLabel(0));
  EXPECT_GT(metrics.correct_count, 0);
  // The fake teacher always says the label.
  EXPECT_EQ(metrics.agreement_count, CountLabel(0));
  EXPECT_NEAR(metrics.cross_entropy, std::log(10.0), 1e-6);
}

TEST_F(EvaluateWeightsTest, WithoutATeacherThereIsNoAgreement) {
  ASSERT_OK_AND_ASSIGN(const EvaluationMetrics metrics, EvaluateZero(nullptr));
  EXPECT_EQ(metrics.agreement_count, -1);
}

TEST_F(EvaluateWeightsTest, AsksForEachShardOfTheUnaugmentedSplit) {
  ASSERT_THAT(EvaluateZero(&teacher_), IsOk());
  ASSERT_EQ(teacher_.requests.size(), 4U);  // 128 + 128 + 128 + 13
  for (int64_t shard = 0; shard < 4; ++shard) {
    const ShardRequest& request = teacher_.requests[shard];
    EXPECT_EQ(request.shard, shard);
    EXPECT_EQ(request.row_count, shard == 3 ? 13 : 128);
    EXPECT_EQ(request.augmentation, "");
    EXPECT_EQ(request.format.temperature, 1);
    EXPECT_EQ(request.format.encoding, Encoding::kFloat32);
    EXPECT_EQ(request.teacher_digest, "pinned");
    EXPECT_EQ(request.dataset_digest, test_->digest());
  }
}

TEST_F(EvaluateWeightsTest, CancelEndsIt) {
  cancel_.store(true);
  EXPECT_THAT(EvaluateZero(nullptr), StatusIs(absl::StatusCode::kCancelled));
}

TEST_F(EvaluateWeightsTest, ATeacherErrorIsTheTasksError) {
  teacher_.before = [](const ShardRequest&) { return absl::DataLossError("damaged"); };
  EXPECT_THAT(EvaluateZero(&teacher_), StatusIs(absl::StatusCode::kDataLoss, "damaged"));
}

}  // namespace
}  // namespace distillery
