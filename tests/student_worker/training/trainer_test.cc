// What a training task does: its samples, its losses, its requests, its ends.
#include "student_worker/training/trainer.h"

#include <limits>

#include "common/run/replica_plan.h"
#include "tests/student_worker/training/train_fixture.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

class TrainerTest : public TrainFixture {};

TEST_F(TrainerTest, SeesEachSampleOfItsShardsOnce) {
  const RunSpec spec = MakeSpec();
  int64_t total = 0;
  for (const int64_t replica : {0, 1}) {
    int64_t planned = 0;
    ASSERT_OK_AND_ASSIGN(const auto plan, PlanReplica(spec, ShardSizes(), /*round=*/0, replica));
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
  ASSERT_OK_AND_ASSIGN(const auto plan,
                       PlanReplica(spec, ShardSizes(), /*round=*/1, /*replica=*/1));
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
  // Fewer outcomes tell less: KL over a partition is at most KL. Yet most of it is
  // in the largest class.
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

TEST_F(TrainerTest, ALossThatIsNotFiniteNamesItsBatch) {
  RunSpec spec = MakeSpec();
  spec.loss.alpha = 0;
  spec.training.learning_rate = 1e30;
  // Step 0 sees the seeded weights; its huge update spoils a later one.
  EXPECT_THAT(Train(spec, /*round=*/3, /*replica=*/1),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       ::testing::MatchesRegex(
                           "the loss is -?(nan|inf) at batch [1-3] \\(from shard [0-9]+ of "
                           "digits/train@128\\) of round 3, replica 1: .*")));
}

TEST_F(TrainerTest, WeightsThatAreNotFiniteFailTheFirstStep) {
  RunSpec spec = MakeSpec();
  ASSERT_OK_AND_ASSIGN(const InitialWeights initial, MakeInitialWeights(spec, *dataset_));
  Weights broken = initial.weights;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(broken.Bytes(broken.layout().tensors()[0]), &nan, sizeof(nan));
  EXPECT_THAT(TrainFrom(broken, spec),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("at batch 0 (from")));
}

TEST_F(TrainerTest, WeightsThatTheLastStepSpoilsAreNotHandedOn) {
  RunSpec spec = MakeSpec();
  spec.loss.alpha = 0;
  spec.training.local_epochs = 0;
  spec.training.local_steps = 1;
  spec.training.weight_decay = 1e30;
  spec.training.learning_rate = 1e30;
  EXPECT_THAT(Train(spec),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("weights are not finite")));
}

TEST_F(TrainerTest, AFiniteLossThatExplodesIsNamedWithItsBatch) {
  for (const double alpha : {0.0, 0.9}) {
    RunSpec spec = MakeSpec();
    spec.loss.alpha = alpha;
    spec.training.momentum = 0;
    spec.training.learning_rate = 1e6;
    EXPECT_THAT(Train(spec), StatusIs(absl::StatusCode::kInvalidArgument,
                                      testing::AllOf(HasSubstr("times that of a student that"),
                                                     HasSubstr(" at batch 1 (from shard "),
                                                     HasSubstr("lower training.learning_rate"))));
    // Its guard decides what an explosion is, and what becomes of it.
    spec.guard.metric = "cross_entropy";
    spec.guard.max_loss_ratio = 2;
    spec.training.local_epochs = 0;
    spec.training.local_steps = 2;
    EXPECT_THAT(Train(spec), IsOk());
  }
}

TEST_F(TrainerTest, ARateThatIsFarTooHighIsNoExplosion) {
  for (const double rate : {1.0, 10.0}) {
    RunSpec spec = MakeSpec();
    spec.loss.alpha = 0;
    spec.training.momentum = 0;
    spec.training.learning_rate = rate;
    ASSERT_OK_AND_ASSIGN(const TrainResult result, Train(spec));
    EXPECT_GT(result.metrics.loss, 0.5) << rate;
  }
}

TEST_F(TrainerTest, WithoutLabelsTheTeacherAloneTeaches) {
  RunSpec spec = MakeSpec();
  ASSERT_OK_AND_ASSIGN(const TrainResult labelled, Train(spec));
  spec.dataset.labels = "none";
  ASSERT_OK_AND_ASSIGN(const TrainResult result, Train(spec));
  EXPECT_EQ(result.metrics.sample_count, labelled.metrics.sample_count);
  EXPECT_EQ(result.metrics.hard_loss, 0);
  EXPECT_NEAR(result.metrics.loss, 0.9 * 16 * result.metrics.soft_loss, 1e-5);
}

TEST_F(TrainerTest, NoisyLabelsMakeTheHardTermWorse) {
  RunSpec spec = MakeSpec();
  spec.loss.alpha = 0;
  ASSERT_OK_AND_ASSIGN(const TrainResult clean, Train(spec));
  spec.dataset.label_noise = 1;
  ASSERT_OK_AND_ASSIGN(const TrainResult noisy, Train(spec));
  EXPECT_GT(noisy.metrics.hard_loss, clean.metrics.hard_loss);
}

TEST_F(TrainerTest, AFractionOfTheSamplesTrainsOnAsManyAndStreamsNoEmptyShard) {
  RunSpec spec = MakeSpec();
  spec.training.replicas = 1;
  spec.dataset.sample_fraction = 0.005;  // 7 samples
  ASSERT_OK_AND_ASSIGN(const TrainResult result, Train(spec));
  EXPECT_EQ(result.metrics.sample_count, 7);
  EXPECT_LE(source_.requests.size(), 7U);
  spec.dataset.sample_fraction = 1e-9;
  EXPECT_THAT(Train(spec),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("a single sample")));
}

TEST_F(TrainerTest, AlphaMovesFromStartToEnd) {
  RunSpec spec = MakeSpec();
  spec.training.learning_rate = 1e-12;
  ASSERT_OK_AND_ASSIGN(const TrainResult fixed, Train(spec));
  // In the last round of four, alpha is between 0.9 / 4 and 0.
  spec.loss.alpha_schedule = "linear";
  ASSERT_OK_AND_ASSIGN(const TrainResult last, Train(spec, /*round=*/3));
  const auto weight = [](const TrainMetrics& m) {
    return (m.loss - m.hard_loss) / (16 * m.soft_loss - m.hard_loss);
  };
  EXPECT_NEAR(weight(fixed.metrics), 0.9, 1e-3);
  EXPECT_NEAR(weight(last.metrics), 0.9 / 8, 0.02);
}

TEST_F(TrainerTest, AMovingTemperatureAsksTheTeacherForTheSameLogits) {
  RunSpec spec = MakeSpec();
  spec.loss.temperature_schedule = "constant";
  spec.loss.temperature_end = 1;
  ASSERT_OK_AND_ASSIGN(const TrainResult moving, Train(spec));
  for (const ShardRequest& request : source_.requests) EXPECT_EQ(request.format.temperature, 1);
  // A schedule that stands still gives what the fixed temperature gives, but for rounding.
  spec.loss.temperature_schedule = "";
  spec.loss.temperature_end = 0;
  ASSERT_OK_AND_ASSIGN(const TrainResult fixed, Train(spec));
  EXPECT_EQ(source_.requests.back().format.temperature, 4);
  EXPECT_NEAR(moving.metrics.loss, fixed.metrics.loss, 1e-4);
}

TEST_F(TrainerTest, DkdGivesItsTwoTerms) {
  RunSpec spec = MakeSpec();
  spec.loss.name = "dkd";
  spec.loss.dkd_alpha = 1;
  spec.loss.dkd_beta = 8;
  ASSERT_OK_AND_ASSIGN(const TrainResult result, Train(spec));
  EXPECT_NEAR(result.metrics.soft_loss,
              result.metrics.dkd_target_loss + 8 * result.metrics.dkd_other_loss, 1e-5);
}

// Rounds of one epoch with the state carried are one round of as many epochs, but for the rounding
// of the deltas.
TEST_F(TrainerTest, CarriedOptimizerStateJoinsTheRounds) {
  for (const char* const optimizer : {"sgd", "adamw"}) {
    RunSpec spec = MakeSpec();
    spec.training.replicas = 1;
    spec.training.rounds = 2;
    spec.training.optimizer = optimizer;
    spec.training.batch_size = 100;  // an epoch is 14 whole batches
    spec.training.learning_rate = 0.005;
    spec.training.optimizer_state = "average";
    ASSERT_OK_AND_ASSIGN(const InitialWeights start, MakeInitialWeights(spec, *dataset_));
    EXPECT_THAT(start.buffer_names, ::testing::Contains("optimizer/first_moment"));
    Weights weights = start.weights;
    for (const int64_t round : {0, 1}) {
      ASSERT_OK_AND_ASSIGN(const TrainResult result, TrainFrom(weights, spec, round));
      weights = Joined(weights, result.delta, start.buffer_names);
    }
    RunSpec whole = spec;
    whole.training.rounds = 1;
    whole.training.local_epochs = 2;
    ASSERT_OK_AND_ASSIGN(const TrainResult once, TrainFrom(start.weights, whole));
    const Weights expected = Joined(start.weights, once.delta, start.buffer_names);
    // Without the state the second round begins anew.
    RunSpec reset = spec;
    reset.training.optimizer_state = "reset";
    ASSERT_OK_AND_ASSIGN(const InitialWeights bare, MakeInitialWeights(reset, *dataset_));
    Weights forgetful = bare.weights;
    for (const int64_t round : {0, 1}) {
      ASSERT_OK_AND_ASSIGN(const TrainResult result, TrainFrom(forgetful, reset, round));
      forgetful = Joined(forgetful, result.delta, {});
    }
    EXPECT_LT(Distance(weights, expected, "fc1.weight"),
              Distance(forgetful, expected, "fc1.weight") / 20)
        << optimizer;
  }
}

TEST_F(TrainerTest, EncodedDeltasAreTheDeltaAlmost) {
  RunSpec spec = MakeSpec();
  ASSERT_OK_AND_ASSIGN(const TrainResult exact, Train(spec));
  EXPECT_EQ(exact.encoded_delta, exact.delta.file());
  for (const char* const encoding : {"float16", "bfloat16", "int8"}) {
    spec.training.delta_encoding = encoding;
    ASSERT_OK_AND_ASSIGN(const TrainResult result, Train(spec));
    // How a delta travels does not change the training.
    EXPECT_EQ(result.delta.file(), exact.delta.file());
    EXPECT_LT(result.encoded_delta.size(), exact.encoded_delta.size() * 0.65) << encoding;
    ASSERT_OK_AND_ASSIGN(const TrainResult again, Train(spec));
    EXPECT_EQ(result.encoded_delta, again.encoded_delta);
    ASSERT_OK_AND_ASSIGN(const TrainResult other, Train(spec, 1));
    EXPECT_NE(result.encoded_delta, other.encoded_delta);
  }
}

TEST_F(TrainerTest, MixedPrecisionTrainsAlmostAsFloat32DoesAndRepeats) {
  RunSpec spec = MakeSpec();
  ASSERT_OK_AND_ASSIGN(const TrainResult exact, Train(spec));
  spec.training.precision = "mixed";
  ASSERT_OK_AND_ASSIGN(const TrainResult mixed, Train(spec));
  EXPECT_NEAR(mixed.metrics.loss, exact.metrics.loss, 0.02 * exact.metrics.loss);
  EXPECT_NE(mixed.delta.Sha256(), exact.delta.Sha256());
  EXPECT_EQ(Digest(spec), mixed.delta.Sha256());
  // The scope ends with the task.
  spec.training.precision = "float32";
  EXPECT_EQ(Digest(spec), exact.delta.Sha256());
}

TEST_F(TrainerTest, TrainingMayStartFromAnothersWeights) {
  const RunSpec spec = MakeSpec();
  RunSpec other = spec;
  other.seed = 7;
  ASSERT_OK_AND_ASSIGN(const InitialWeights trained, MakeInitialWeights(other, *dataset_));
  ASSERT_OK_AND_ASSIGN(const InitialWeights initial,
                       MakeInitialWeights(spec, *dataset_, "", &trained.weights));
  EXPECT_EQ(initial.weights.Sha256(), trained.weights.Sha256());
  ASSERT_OK_AND_ASSIGN(const InitialWeights wrong,
                       MakeInitialWeights(MakeSpec("mlp:64-17-10"), *dataset_));
  EXPECT_THAT(
      MakeInitialWeights(spec, *dataset_, "", &wrong.weights),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("student.initial_weights")));
}

TEST_F(TrainerTest, ADeviceThatIsNotThereIsNamed) {
  device_ = "cuda:63";
  EXPECT_THAT(Train(MakeSpec()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("device cuda:63")));
  device_ = "gpu";
  EXPECT_THAT(Train(MakeSpec()), StatusIs(absl::StatusCode::kInvalidArgument));
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
  EXPECT_TRUE(initial.card.samples.picture_shape() == (ImageShape{1, 8, 8}));
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
