// Students on a device: with a fake one, and on a GPU where LibTorch sees one.
#include <torch/types.h>

#include <algorithm>

#include "common/nn/numerics.h"
#include "student_worker/training/torch_tasks.h"
#include "tests/common/nn/fake_device.h"
#include "tests/student_worker/training/train_fixture.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

class DeviceTrainingTest : public TrainFixture {
 protected:
  absl::StatusOr<TrainResult> TrainOn(const std::string& device, const RunSpec& spec) {
    device_ = device;
    devices_ = &runtime_;
    return Train(spec);
  }
  FakeDeviceRuntime runtime_;
};

TEST_F(DeviceTrainingTest, TrainsFromPinnedBatches) {
  const RunSpec spec = MakeSpec();
  ASSERT_OK_AND_ASSIGN(const TrainResult there, TrainOn("cuda", spec));
  // Three batches of inputs and labels; each step copies both.
  EXPECT_EQ(runtime_.pinned, 6);
  EXPECT_EQ(runtime_.copies_in, 2 * there.metrics.step_count);
  EXPECT_GT(there.metrics.step_count, 5);
  ASSERT_OK_AND_ASSIGN(const TrainResult here, TrainOn("cpu", spec));
  EXPECT_EQ(there.delta.Sha256(), here.delta.Sha256()) << "the fake computes where the CPU does";
  EXPECT_EQ(runtime_.pinned, 6) << "a CPU pins nothing";
}

TEST_F(DeviceTrainingTest, MixedPrecisionTrainsThereToo) {
  RunSpec spec = MakeSpec();
  const std::string exact = TrainOn("cuda", spec)->delta.Sha256();
  spec.training.precision = "mixed";
  ASSERT_OK_AND_ASSIGN(const TrainResult mixed, TrainOn("cuda", spec));
  EXPECT_NE(mixed.delta.Sha256(), exact);
  EXPECT_TRUE(std::isfinite(mixed.metrics.loss));
}

TEST_F(DeviceTrainingTest, NoMemoryIsSaidSo) {
  runtime_.on_copy_in = [](const at::Tensor& /*host*/) {
    TORCH_CHECK_WITH(OutOfMemoryError, false, "CUDA out of memory. Tried to allocate 2.00 GiB");
  };
  EXPECT_THAT(TrainOn("cuda", MakeSpec()).status(),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("out of memory")));
}

TEST_F(DeviceTrainingTest, ACardThatIsNotThereIsRefused) {
  EXPECT_THAT(TrainOn("cuda:1", MakeSpec()).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("cuda:1")));
}

TEST_F(DeviceTrainingTest, EvaluatesThere) {
  const RunSpec spec = MakeSpec();
  ASSERT_OK_AND_ASSIGN(const auto initial, MakeInitialWeights(spec, *dataset_));
  const auto evaluate = [&](const std::string& device) {
    EvaluationJob job;
    job.spec = &spec;
    job.weights = &initial.weights;
    job.card = &initial.card;
    job.dataset = dataset_.get();
    job.cancel = &cancel_;
    job.device = device;
    job.devices = &runtime_;
    return EvaluateWeights(job);
  };
  ASSERT_OK_AND_ASSIGN(const EvaluationMetrics there, evaluate("cuda"));
  ASSERT_OK_AND_ASSIGN(const EvaluationMetrics here, evaluate("cpu"));
  EXPECT_EQ(there.correct_count, here.correct_count);
  EXPECT_EQ(there.cross_entropy, here.cross_entropy);
}

TEST_F(DeviceTrainingTest, AnExactRunTellsItsWorkersApart) {
  // A coordinator gives tasks of an exact run to one fingerprint alone.
  ASSERT_OK_AND_ASSIGN(const std::string cpu, ComputeFingerprint("cpu", &runtime_));
  ASSERT_OK_AND_ASSIGN(const std::string cuda, ComputeFingerprint("cuda", &runtime_));
  EXPECT_NE(cpu, cuda);
  EXPECT_THAT(cuda, HasSubstr("device=cuda/fake_card"));
  runtime_.card = "another card";
  ASSERT_OK_AND_ASSIGN(const std::string other, ComputeFingerprint("cuda", &runtime_));
  EXPECT_NE(other, cuda);
}

TEST_F(DeviceTrainingTest, OnAGpuTheLossFallsAsOnTheCpu) {
  if (DeviceRuntime::Cuda().device_count() == 0) GTEST_SKIP() << "no CUDA device";
  RunSpec spec = MakeSpec("lenet");
  ASSERT_OK_AND_ASSIGN(const TrainResult here, Train(spec));
  device_ = "cuda";
  ASSERT_OK_AND_ASSIGN(const TrainResult there, Train(spec));
  EXPECT_NEAR(there.metrics.loss, here.metrics.loss, 0.02 * here.metrics.loss);
  ASSERT_OK_AND_ASSIGN(const TrainResult again, Train(spec));
  EXPECT_EQ(there.delta.Sha256(), again.delta.Sha256()) << "a card repeats its own bits";
  spec.training.precision = "mixed";
  ASSERT_OK_AND_ASSIGN(const TrainResult mixed, Train(spec));
  EXPECT_NEAR(mixed.metrics.loss, here.metrics.loss, 0.1 * here.metrics.loss);
}

}  // namespace
}  // namespace distillery
