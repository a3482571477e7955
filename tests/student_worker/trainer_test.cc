// What a training task does: its samples, its losses, its requests, its ends.
#include "student_worker/trainer.h"

#include <limits>

#include "common/run/replica_plan.h"
#include "tests/student_worker/train_fixture.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

class TrainerTest : public TrainFixture {};

TEST_F(TrainerTest, SeesEachSampleOfItsShardsOnce) {
  const RunSpec spec = MakeSpec();
  int64_t total = 0;
  for (const int64_t replica : {0, 1}) {
    int64_t planned = 0;
    ASSERT_OK_AND_ASSIGN(const auto plan, PlanReplica(spec, 1400, /*round=*/0, replica));
    for (const ShardUse& use : plan) planned += use.count;
    ASSERT_OK_AND_ASSIGN(const TrainResult result, Train(spec, 0, replica));
    EXPECT_EQ(result.metrics.sample_count, planned);
    EXPECT_EQ(result.metrics.step_count, (planned + 63) / 64);
    total += result.metrics.sample_count;
  }
  EXPECT_EQ(total, 1400);
}

TEST_F(TrainerTest, TakesAsManyStepsAsAsked) {
  RunSpec spec = MakeSpec();
  spec.training.local_epochs = 0;
  spec.training.local_steps = 7;
  std::vector<int64_t> seen;
  ASSERT_OK_AND_ASSIGN(const TrainResult result,
                       Train(spec, 0, 0, [&](int64_t samples) { seen.push_back(samples); }));
  EXPECT_EQ(result.metrics.step_count, 7);
  EXPECT_EQ(result.metrics.sample_count, 448);  // 7 * 64
  EXPECT_THAT(seen, ::testing::ElementsAre(64, 128, 192, 256, 320, 384, 448));
}

TEST_F(TrainerTest, TheLossFallsFromRoundToRound) {
  RunSpec spec = MakeSpec();
  spec.training.replicas = 1;
  ASSERT_OK_AND_ASSIGN(const InitialWeights initial, MakeInitialWeights(spec, *dataset_));
  Weights weights = initial.weights;
  std::vector<TrainMetrics> rounds;
  for (int64_t round = 0; round < spec.training.rounds; ++round) {
    ASSERT_OK_AND_ASSIGN(const TrainResult result, TrainFrom(weights, spec, round));
    weights = Plus(weights, result.delta);
    rounds.push_back(result.metrics);
  }
  for (size_t i = 1; i < rounds.size(); ++i) {
    EXPECT_LT(rounds[i].loss, rounds[i - 1].loss);
    EXPECT_LT(rounds[i].soft_loss, rounds[i - 1].soft_loss);
    EXPECT_LT(rounds[i].hard_loss, rounds[i - 1].hard_loss);
  }
  // Guessing costs ln 10 = 2.3.
  EXPECT_LT(rounds.back().hard_loss, 0.5);
}

TEST_F(TrainerTest, TheLossIsTheWeightedSumOfItsTerms) {
  const RunSpec spec = MakeSpec();  // alpha 0.9, T 4
  ASSERT_OK_AND_ASSIGN(const TrainResult result, Train(spec));
  EXPECT_NEAR(result.metrics.loss,
              0.9 * 16 * result.metrics.soft_loss + 0.1 * result.metrics.hard_loss, 1e-5);
}

TEST_F(TrainerTest, AlphaZeroNeedsNoTeacher) {
  RunSpec spec = MakeSpec();
  spec.loss.alpha = 0;
  ASSERT_OK_AND_ASSIGN(const TrainResult result, Train(spec));
  EXPECT_TRUE(source_.requests.empty());
  EXPECT_EQ(result.teacher_digest, "");
  EXPECT_EQ(result.metrics.soft_loss, 0);
  EXPECT_DOUBLE_EQ(result.metrics.loss, result.metrics.hard_loss);
}

TEST_F(TrainerTest, AsksForEachOfItsShardsAsPlanned) {
  RunSpec spec = MakeSpec();
  spec.dataset.augmentation = "jitter:1";
  spec.dataset.views = 3;
  spec.training.local_epochs = 2;
  ASSERT_OK_AND_ASSIGN(const auto plan, PlanReplica(spec, 1400, /*round=*/1, /*replica=*/1));
  ASSERT_OK_AND_ASSIGN(const TrainResult result, Train(spec, 1, 1));
  EXPECT_EQ(result.teacher_digest, "fake-digest");
  ASSERT_EQ(source_.requests.size(), plan.size());
  for (size_t i = 0; i < plan.size(); ++i) {
    const ShardRequest& request = source_.requests[i];
    EXPECT_EQ(request.shard, plan[i].shard);
    EXPECT_EQ(request.view, plan[i].epoch % 3);  // round 1 is epochs 2 and 3: views 2 and 0
    EXPECT_EQ(request.row_count, plan[i].shard == 10 ? 120 : 128);
    EXPECT_EQ(request.class_count, 10);
    EXPECT_EQ(request.format.temperature, 4);
    EXPECT_EQ(request.format.encoding, Encoding::kFloat32);
    EXPECT_EQ(request.augmentation, "jitter:1");
    EXPECT_EQ(request.augmentation_seed, spec.seed);
    EXPECT_EQ(request.dataset_digest, dataset_->digest());
    // The first answer decides for the rest: a student refuses a mix of teachers.
    EXPECT_EQ(request.teacher_digest, i == 0 ? "" : "fake-digest");
  }
}

TEST_F(TrainerTest, EachEncodingTrainsAlmostAsFloat32Does) {
  RunSpec spec = MakeSpec();
  spec.loss.alpha = 1;
  ASSERT_OK_AND_ASSIGN(const TrainResult exact, Train(spec));
  const auto train = [&](const std::string& encoding, int64_t top_k) {
    spec.soft_targets = {encoding, top_k};
    EXPECT_THAT(ValidateRunSpec(spec), IsOk());
    source_.requests.clear();
    const absl::StatusOr<TrainResult> result = Train(spec);
    EXPECT_THAT(result, IsOk());
    EXPECT_EQ(EncodingName(source_.requests.at(0).format.encoding), encoding);
    EXPECT_EQ(source_.requests.at(0).format.top_k, top_k);
    return result.ok() ? result->metrics.soft_loss : 0;
  };
  const double loss = exact.metrics.soft_loss;
  EXPECT_NEAR(train("float16", 0), loss, 1e-3 * loss);
  EXPECT_NEAR(train("int8", 0), loss, 2e-2 * loss);
  EXPECT_NEAR(train("top_k", 10), loss, 1e-3 * loss);
  EXPECT_NEAR(train("top_k", 9), loss, 2e-2 * loss);
  // Of fewer outcomes there is less to tell: KL over a partition is at most KL. Yet most of it is in
  // the largest class.
  const double of_one = train("top_k", 1);
  EXPECT_LT(of_one, loss);
  EXPECT_GT(of_one, loss / 2);
}

TEST_F(TrainerTest, TopKIsAtMostTheNumberOfClasses) {
  RunSpec spec = MakeSpec();
  spec.soft_targets = {"top_k", 11};
  EXPECT_THAT(Train(spec), StatusIs(absl::StatusCode::kInvalidArgument,
                                    "soft_targets: top_k must be 1 to the number of classes, 10, "
                                    "got 11"));
}

TEST_F(TrainerTest, ATeacherErrorIsTheTasksError) {
  source_.before = [&](const ShardRequest&) {
    return source_.requests.size() == 3 ? absl::FailedPreconditionError("another digest")
                                        : absl::OkStatus();
  };
  EXPECT_THAT(Train(MakeSpec()), StatusIs(absl::StatusCode::kFailedPrecondition, "another digest"));
}

TEST_F(TrainerTest, CancelEndsTheTaskAtTheNextStep) {
  int64_t seen = 0;
  const auto result = Train(MakeSpec(), 0, 0, [&](int64_t samples) {
    seen = samples;
    cancel_.store(samples >= 128);
  });
  EXPECT_THAT(result, StatusIs(absl::StatusCode::kCancelled));
  EXPECT_EQ(seen, 128);  // the second step was the last
}

TEST_F(TrainerTest, ALossThatIsNotFiniteNamesItsStep) {
  RunSpec spec = MakeSpec();
  spec.loss.alpha = 0;
  spec.training.learning_rate = 1e30;
  // Step 0 sees the seeded weights; its huge update spoils a later one.
  EXPECT_THAT(Train(spec, /*round=*/3, /*replica=*/1),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       ::testing::MatchesRegex(
                           "the loss is -?(nan|inf) at step [1-3] of round 3, replica 1: .*")));
}

TEST_F(TrainerTest, WeightsThatAreNotFiniteFailTheFirstStep) {
  RunSpec spec = MakeSpec();
  ASSERT_OK_AND_ASSIGN(const InitialWeights initial, MakeInitialWeights(spec, *dataset_));
  Weights broken = initial.weights;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(broken.Bytes(broken.layout().tensors()[0]), &nan, sizeof(nan));
  EXPECT_THAT(TrainFrom(broken, spec),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("at step 0 of round 0")));
}

TEST_F(TrainerTest, AStudentThatDoesNotFitTheDataIsRefused) {
  EXPECT_THAT(Train(MakeSpec("mlp:784-10")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("784")));
}

TEST_F(TrainerTest, WeightsOfAnotherStudentAreRefused) {
  ASSERT_OK_AND_ASSIGN(const InitialWeights other,
                       MakeInitialWeights(MakeSpec("mlp:64-17-10"), *dataset_));
  EXPECT_THAT(TrainFrom(other.weights, MakeSpec()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("fc1")));
}

TEST_F(TrainerTest, TheInitialCardDescribesTheData) {
  ASSERT_OK_AND_ASSIGN(const InitialWeights initial, MakeInitialWeights(MakeSpec(), *dataset_));
  EXPECT_EQ(initial.card.architecture, "mlp:64-16-10");
  EXPECT_TRUE(initial.card.input_shape == (ImageShape{1, 8, 8}));
  EXPECT_EQ(initial.card.class_count(), 10);
  EXPECT_TRUE(initial.buffer_names.empty());
  // fc1.bias, fc1.weight, fc2.bias, fc2.weight: 16 + 16 * 64 + 10 + 10 * 16
  int64_t elements = 0;
  for (const TensorSpec& tensor : initial.weights.layout().tensors()) {
    elements += tensor.element_count;
  }
  EXPECT_EQ(elements, 16 + 1024 + 10 + 160);
}

}  // namespace
}  // namespace distillery
