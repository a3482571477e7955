// Training jobs on the built-in digits.
#pragma once

#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "common/data/catalog.h"
#include "student_worker/training/trainer.h"
#include "tests/common/status_matchers.h"
#include "tests/student_worker/teachers/fake_source.h"

namespace distillery {

class TrainFixture : public ::testing::Test {
 protected:
  // 1400 training samples in shards of 128: 10 of them and one of 120.
  TrainFixture() : dataset_(*catalog_.Open({"digits", "train", 128})), source_(dataset_.get()) {}

  static RunSpec MakeSpec(const std::string& architecture = "mlp:64-16-10") {
    RunSpec spec;
    spec.student.architecture = architecture;
    spec.training.rounds = 4;
    spec.training.replicas = 2;
    spec.training.local_epochs = 1;
    spec.training.batch_size = 64;
    EXPECT_THAT(ValidateRunSpec(spec), IsOk());
    return spec;
  }
  std::vector<int64_t> ShardSizes() const {
    std::vector<int64_t> sizes(10, 128);
    sizes.push_back(120);
    return sizes;
  }
  // From seeded weights; replica 0 of round 0 unless said otherwise.
  absl::StatusOr<TrainResult> Train(const RunSpec& spec, int64_t round = 0, int64_t replica = 0,
                                    std::function<void(int64_t)> progress = nullptr) {
    const auto initial = MakeInitialWeights(spec, *dataset_);
    if (!initial.ok()) return initial.status();
    return TrainFrom(initial->weights, spec, round, replica, std::move(progress));
  }
  absl::StatusOr<TrainResult> TrainFrom(const Weights& weights, const RunSpec& spec,
                                        int64_t round = 0, int64_t replica = 0,
                                        std::function<void(int64_t)> progress = nullptr) {
    const auto initial = MakeInitialWeights(spec, *dataset_);
    if (!initial.ok()) return initial.status();
    TrainJob job;
    job.spec = &spec;
    job.round = round;
    job.replica = replica;
    job.weights = &weights;
    job.card = &initial->card;
    job.dataset = dataset_.get();
    job.teacher = spec.needs_teacher() ? &source_ : nullptr;
    job.cancel = &cancel_;
    job.device = device_;
    job.devices = devices_;
    job.progress = std::move(progress);
    return TrainReplica(job);
  }
  // SHA-256 of the trained delta.
  std::string Digest(const RunSpec& spec, int64_t round = 0, int64_t replica = 0) {
    const auto result = Train(spec, round, replica);
    EXPECT_THAT(result, IsOk());
    return result.ok() ? result->delta.Sha256() : "";
  }

  DatasetCatalog catalog_{""};
  std::shared_ptr<const Dataset> dataset_;
  FakeSource source_;
  std::string device_ = "cpu";
  DeviceRuntime* devices_ = nullptr;
  std::atomic<bool> cancel_{false};
};

// start + delta, element by element: what the coordinator makes of one replica's result.
inline Weights Plus(const Weights& start, const Weights& delta) {
  Weights sum = start;
  for (const TensorSpec& tensor : sum.layout().tensors()) {
    auto* const values = reinterpret_cast<float*>(sum.Bytes(tensor));
    const auto* const more = reinterpret_cast<const float*>(delta.Bytes(tensor).data());
    for (int64_t i = 0; i < tensor.element_count; ++i) values[i] += more[i];
  }
  return sum;
}

// The same where buffers are values, not differences.
inline Weights Joined(const Weights& start, const Weights& delta,
                      const std::vector<std::string>& buffers) {
  Weights sum = Plus(start, delta);
  for (const std::string& name : buffers) {
    const TensorSpec& tensor = *sum.layout().Find(name);
    std::memcpy(sum.Bytes(tensor), delta.Bytes(tensor).data(),
                static_cast<size_t>(tensor.byte_count));
  }
  return sum;
}

// The mean difference between two tensors of that name.
inline float Distance(const Weights& a, const Weights& b, const std::string& name) {
  const TensorSpec& tensor = *a.layout().Find(name);
  const auto* const x = reinterpret_cast<const float*>(a.Bytes(tensor).data());
  const auto* const y = reinterpret_cast<const float*>(b.Bytes(*b.layout().Find(name)).data());
  float sum = 0;
  for (int64_t i = 0; i < tensor.element_count; ++i) sum += std::abs(x[i] - y[i]);
  return sum / static_cast<float>(tensor.element_count);
}

}  // namespace distillery
