// Students whose buffers are batch statistics: trained to the same bits, and averaged as the
// coordinator does it.
#include <algorithm>

#include "absl/strings/match.h"
#include "common/base/files.h"
#include "coordinator/average.h"
#include "student_worker/training/trainer.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"
#include "tests/common/tensor_file.h"
#include "tests/student_worker/teachers/fake_source.h"

namespace distillery {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;

constexpr int64_t kLocalSteps = 5;

// 24 colour images 3 x 8 x 8 in three classes; a class is a colour with noise.
std::shared_ptr<const Dataset> ColourImages() {
  auto samples = std::make_shared<StoredSamples>();
  samples->name = "colours";
  samples->spec = SampleSpec::Pictures({3, 8, 8}, 255);
  samples->class_names = {"red", "green", "blue"};
  for (int64_t i = 0; i < 24; ++i) {
    samples->labels.push_back(static_cast<int32_t>(i % 3));
    for (int64_t pixel = 0; pixel < samples->shape().size(); ++pixel) {
      const int64_t light = pixel / 64 == i % 3 ? 150 : 0;
      samples->records.push_back(static_cast<uint8_t>(light + (i * 31 + pixel * 17) % 100));
    }
    samples->train.push_back(i);
  }
  samples->test = {0, 1, 2};
  return *Dataset::Create(samples, {"colours", "train", 8});
}

class BatchNormTest : public ::testing::TestWithParam<const char*> {
 protected:
  BatchNormTest() : dataset_(ColourImages()), source_(dataset_.get()) {
    spec_.dataset.shard_size = 8;
    spec_.student.architecture = GetParam();
    spec_.training.rounds = 2;
    spec_.training.replicas = 2;
    spec_.training.local_steps = kLocalSteps;
    spec_.training.batch_size = 8;
    EXPECT_THAT(ValidateRunSpec(spec_), IsOk());
  }
  TrainResult Train(const InitialWeights& start, int64_t round, int64_t replica) {
    TrainJob job;
    job.spec = &spec_;
    job.round = round;
    job.replica = replica;
    job.weights = &start.weights;
    job.card = &start.card;
    job.dataset = dataset_.get();
    job.teacher = &source_;
    job.cancel = &cancel_;
    absl::StatusOr<TrainResult> result = TrainReplica(job);
    EXPECT_THAT(result, IsOk());
    return *std::move(result);
  }
  // W_{round + 1} by the outer optimizer that would overshoot.
  Weights RunRound(const InitialWeights& start, int64_t round) {
    AverageRequest request;
    request.outer_optimizer = "nesterov";
    request.outer_learning_rate = 2;
    request.outer_momentum = 0.9;
    request.buffer_names = start.buffer_names;
    request.weights_path = folder_.File("weights");
    request.weights_output = folder_.File("weights-out");
    request.momentum_output = folder_.File("momentum-out");
    EXPECT_THAT(WriteFileDurably(request.weights_path, start.weights.file()), IsOk());
    for (int64_t replica = 0; replica < spec_.training.replicas; ++replica) {
      const TrainResult result = Train(start, round, replica);
      const std::string path = folder_.File("delta-" + std::to_string(replica));
      EXPECT_THAT(WriteFileDurably(path, result.delta.file()), IsOk());
      request.deltas.push_back({path, static_cast<double>(result.metrics.sample_count)});
    }
    EXPECT_THAT(AverageDeltas(request), IsOk());
    return *Weights::FromFile(*ReadFile(request.weights_output, int64_t{1} << 30));
  }

  RunSpec spec_;
  std::shared_ptr<const Dataset> dataset_;
  FakeSource source_;
  TemporaryFolder folder_;
  std::atomic<bool> cancel_{false};
};

TEST_P(BatchNormTest, TheSameTaskGivesTheSameBytes) {
  ASSERT_OK_AND_ASSIGN(const InitialWeights start, MakeInitialWeights(spec_, *dataset_));
  const std::string first = Train(start, 0, 0).delta.Sha256();
  EXPECT_NE(Train(start, 0, 1).delta.Sha256(), first);
  EXPECT_EQ(Train(start, 0, 0).delta.Sha256(), first);
}

TEST_P(BatchNormTest, AveragedStatisticsAreMeansOfTheReplicasAndCountsAreReplicaZeros) {
  ASSERT_OK_AND_ASSIGN(InitialWeights start, MakeInitialWeights(spec_, *dataset_));
  EXPECT_THAT(start.buffer_names, Contains("bn1.num_batches_tracked"));
  for (int64_t round = 0; round < spec_.training.rounds; ++round) {
    start.weights = RunRound(start, round);
    const Weights& averaged = start.weights;
    std::vector<Weights> replicas;
    for (const char* const name : {"delta-0", "delta-1"}) {
      replicas.push_back(*Weights::FromFile(*ReadFile(folder_.File(name), int64_t{1} << 30)));
    }
    for (const TensorSpec& tensor : averaged.layout().tensors()) {
      SCOPED_TRACE(tensor.name);
      if (absl::EndsWith(tensor.name, ".num_batches_tracked")) {
        EXPECT_EQ(tensor.type, ElementType::kInt64);
        EXPECT_THAT(TensorValues<int64_t>(averaged.file(), tensor.name),
                    ElementsAre(kLocalSteps * (round + 1)));
      } else if (absl::EndsWith(tensor.name, ".running_var")) {
        const auto values = TensorValues<float>(averaged.file(), tensor.name);
        const auto a = TensorValues<float>(replicas[0].file(), tensor.name);
        const auto b = TensorValues<float>(replicas[1].file(), tensor.name);
        EXPECT_GE(*std::min_element(values.begin(), values.end()), 0);
        // Both replicas saw 5 batches of 8.
        for (size_t i = 0; i < values.size(); ++i) {
          EXPECT_FLOAT_EQ(values[i], static_cast<float>((double{a[i]} + double{b[i]}) / 2));
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Students, BatchNormTest,
                         ::testing::Values("resnet8", "wrn-10-1,dropout=0.3"),
                         [](const auto& info) {
                           return std::string(info.index == 0 ? "Resnet" : "Wide");
                         });

}  // namespace
}  // namespace distillery
