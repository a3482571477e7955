// Training speed of a worker's task against a bare LibTorch loop of the same model, in one run,
// alternating. Prints JSON: samples per second of both, and their ratio (goal >= 0.95).
//
// The bare loop is what one would write without Distillery: torch::nn layers, torch::optim::SGD, all
// samples normalised in one tensor beforehand. Both run in the process environment that our programs
// make for themselves (common/model/environment.h).
#include <torch/torch.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "common/base/philox.h"
#include "common/model/environment.h"
#include "common/model/inputs.h"
#include "common/model/numerics.h"
#include "nlohmann/json.hpp"
#include "student_worker/trainer.h"

namespace distillery {
namespace {

// What each of three replicas trains on in a round over MNIST, in whole batches.
constexpr int64_t kSamples = 19968;
constexpr int64_t kBatch = 128;
constexpr double kRate = 0.01;
constexpr double kMomentum = 0.9;
constexpr int kRepeats = 5;

std::shared_ptr<const Dataset> MakeDataset() {
  StoredSamples samples;
  samples.name = "random";
  samples.shape = {1, 28, 28};
  RandomStream random(1, "benchmark");
  for (int i = 0; i < 10; ++i) samples.class_names.push_back(std::to_string(i));
  for (int64_t i = 0; i < kSamples; ++i) {
    for (int64_t pixel = 0; pixel < samples.shape.size(); ++pixel) {
      samples.pixels.push_back(static_cast<uint8_t>(random.Below(256)));
    }
    samples.labels.push_back(static_cast<int32_t>(random.Below(10)));
    samples.train.push_back(i);
  }
  return *Dataset::Create(std::make_shared<const StoredSamples>(std::move(samples)),
                          {"random", "train", 2000});
}

torch::nn::Sequential BareModel(const std::string& architecture) {
  using namespace torch::nn;  // NOLINT: layers alone
  if (architecture == "lenet") {
    return Sequential(Conv2d(Conv2dOptions(1, 6, 5).padding(2)), ReLU(), MaxPool2d(2),
                      Conv2d(6, 16, 5), ReLU(), MaxPool2d(2), Flatten(), Linear(400, 120), ReLU(),
                      Linear(120, 84), ReLU(), Linear(84, 10));
  }
  return Sequential(Flatten(), Linear(784, 1200), ReLU(), Linear(1200, 1200), ReLU(),
                    Linear(1200, 10));
}

double BareSeconds(const std::string& architecture, const at::Tensor& inputs,
                   const at::Tensor& labels) {
  torch::nn::Sequential model = BareModel(architecture);
  torch::optim::SGD optimizer(model->parameters(),
                              torch::optim::SGDOptions(kRate).momentum(kMomentum));
  const absl::Time start = absl::Now();
  const at::Tensor order = torch::randperm(kSamples);
  double loss_sum = 0;
  for (int64_t first = 0; first < kSamples; first += kBatch) {
    const at::Tensor rows = order.narrow(0, first, kBatch);
    optimizer.zero_grad();
    const at::Tensor loss = torch::cross_entropy_loss(model->forward(inputs.index_select(0, rows)),
                                                      labels.index_select(0, rows));
    loss.backward();
    optimizer.step();
    loss_sum += loss.item<double>();
  }
  return loss_sum > 0 ? absl::ToDoubleSeconds(absl::Now() - start) : 0;
}

double OurSeconds(const TrainJob& job) {
  const absl::Time start = absl::Now();
  const auto result = TrainReplica(job);
  if (!result.ok()) {
    std::fprintf(stderr, "%s\n", std::string(result.status().message()).c_str());
    std::exit(1);
  }
  return absl::ToDoubleSeconds(absl::Now() - start);
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

nlohmann::ordered_json Measure(const std::string& architecture,
                               const std::shared_ptr<const Dataset>& dataset) {
  RunSpec spec;
  spec.student.architecture = architecture;
  spec.dataset.shard_size = dataset->reference().shard_size;
  spec.loss.alpha = 0;
  spec.training.local_epochs = 1;
  spec.training.batch_size = kBatch;
  spec.training.learning_rate = kRate;
  spec.training.momentum = kMomentum;
  const InitialWeights initial = *MakeInitialWeights(spec, *dataset);
  const std::atomic<bool> cancel{false};
  TrainJob job;
  job.spec = &spec;
  job.weights = &initial.weights;
  job.card = &initial.card;
  job.dataset = dataset.get();
  job.cancel = &cancel;

  std::vector<int64_t> rows(kSamples);
  for (int64_t i = 0; i < kSamples; ++i) rows[i] = i;
  const at::Tensor inputs = Normalise(LoadInputs(*dataset, rows, View{}), initial.card);
  const at::Tensor labels = LoadLabels(*dataset, rows);
  ConfigureTorch(1);
  BareSeconds(architecture, inputs, labels);
  OurSeconds(job);
  std::vector<double> bare;
  std::vector<double> ours;
  std::vector<double> ratios;
  for (int i = 0; i < kRepeats; ++i) {
    bare.push_back(BareSeconds(architecture, inputs, labels));
    ours.push_back(OurSeconds(job));
    ratios.push_back(bare.back() / ours.back());
  }
  nlohmann::ordered_json json;
  json["architecture"] = architecture;
  json["batch_size"] = kBatch;
  json["bare_samples_per_second"] = static_cast<int64_t>(kSamples / Median(bare));
  json["worker_samples_per_second"] = static_cast<int64_t>(kSamples / Median(ours));
  json["ratio"] = std::round(1000 * Median(ratios)) / 1000;
  return json;
}

int Main() {
  const auto dataset = MakeDataset();
  nlohmann::ordered_json json;
  json["compute"] = ComputeDescription(1);
  for (const char* const architecture : {"mlp:784-1200-1200-10", "lenet"}) {
    json["models"].push_back(Measure(architecture, dataset));
  }
  std::printf("%s\n", json.dump(2).c_str());
  return 0;
}

}  // namespace
}  // namespace distillery

int main(int, char** argv) {
  distillery::EnsureComputeEnvironment("fastest", argv);
  return distillery::Main();
}
