// All work is a pure function of what it names: equal tasks give equal bytes, others give others.
#include <thread>

#include "tests/student_worker/training/train_fixture.h"

namespace distillery {
namespace {

class PureTraining : public TrainFixture {};

constexpr char kDropout[] = "mlp:64-16-10,dropout=0.5,input_dropout=0.2";

TEST_F(PureTraining, TheSameTaskGivesTheSameBytes) {
  for (const char* const student : {"mlp:64-16-10", kDropout, "lenet"}) {
    const RunSpec spec = MakeSpec(student);
    EXPECT_EQ(Digest(spec), Digest(spec)) << student;
  }
}

TEST_F(PureTraining, AnotherRoundReplicaOrSeedGivesOtherBytes) {
  // Dropout draws by round and replica too.
  for (const char* const student : {"mlp:64-16-10", kDropout}) {
    RunSpec spec = MakeSpec(student);
    const std::string base = Digest(spec);
    EXPECT_NE(Digest(spec, /*round=*/1), base);
    EXPECT_NE(Digest(spec, /*round=*/0, /*replica=*/1), base);
    spec.seed = 2;
    EXPECT_NE(Digest(spec), base);
  }
}

TEST_F(PureTraining, WhatWasTrainedBeforeDoesNotMatter) {
  const RunSpec spec = MakeSpec(kDropout);
  const std::string expected = Digest(spec, 2, 1);
  RunSpec other = MakeSpec("lenet");
  other.seed = 99;
  other.loss.alpha = 0;
  other.training.batch_size = 31;
  ASSERT_THAT(Train(other, 1, 1), IsOk());
  ASSERT_THAT(Train(MakeSpec(kDropout), 3, 0), IsOk());
  EXPECT_EQ(Digest(spec, 2, 1), expected);
}

TEST_F(PureTraining, ATaskThatFailedBeforeDoesNotMatter) {
  const RunSpec spec = MakeSpec(kDropout);
  const std::string expected = Digest(spec);
  ASSERT_THAT(Train(spec, 0, 0, [&](int64_t) { cancel_.store(true); }),
              StatusIs(absl::StatusCode::kCancelled));
  cancel_.store(false);
  EXPECT_EQ(Digest(spec), expected);
}

TEST_F(PureTraining, TheThreadThatTrainsDoesNotMatter) {
  const RunSpec spec = MakeSpec(kDropout);
  const std::string expected = Digest(spec);
  std::string got;
  std::thread([&] { got = Digest(spec); }).join();
  EXPECT_EQ(got, expected);
}

TEST_F(PureTraining, TheTeachersDigestIsPinnedByTheJobWithoutChangingBytes) {
  const RunSpec spec = MakeSpec();
  const std::string expected = Digest(spec);
  ASSERT_OK_AND_ASSIGN(const InitialWeights initial, MakeInitialWeights(spec, *dataset_));
  TrainJob job;
  job.spec = &spec;
  job.weights = &initial.weights;
  job.card = &initial.card;
  job.dataset = dataset_.get();
  job.teacher = &source_;
  job.teacher_digest = "pinned";
  job.cancel = &cancel_;
  source_.requests.clear();
  ASSERT_OK_AND_ASSIGN(const TrainResult result, TrainReplica(job));
  EXPECT_EQ(result.delta.Sha256(), expected);
  EXPECT_EQ(result.teacher_digest, "pinned");
  for (const ShardRequest& request : source_.requests) {
    EXPECT_EQ(request.teacher_digest, "pinned");
  }
}

TEST_F(PureTraining, InitialWeightsArePureInArchitectureAndSeed) {
  RunSpec spec = MakeSpec("lenet");
  const std::string first = MakeInitialWeights(spec, *dataset_)->weights.Sha256();
  EXPECT_EQ(MakeInitialWeights(spec, *dataset_)->weights.Sha256(), first);
  spec.loss.alpha = 0.1;
  spec.training.learning_rate = 0.5;
  EXPECT_EQ(MakeInitialWeights(spec, *dataset_)->weights.Sha256(), first);
  spec.seed = 2;
  EXPECT_NE(MakeInitialWeights(spec, *dataset_)->weights.Sha256(), first);
}

}  // namespace
}  // namespace distillery
