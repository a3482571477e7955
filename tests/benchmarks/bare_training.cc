#include "tests/benchmarks/bare_training.h"

#include <torch/torch.h>

#include <cstdlib>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/nn/inputs.h"
#include "common/nn/normaliser.h"
#include "common/nn/numerics.h"

namespace distillery {
namespace {

torch::nn::Sequential LeNet() {
  using namespace torch::nn;  // NOLINT: layers alone
  return Sequential(Conv2d(Conv2dOptions(1, 6, 5).padding(2)), ReLU(), MaxPool2d(2),
                    Conv2d(6, 16, 5), ReLU(), MaxPool2d(2), Flatten(), Linear(400, 120), ReLU(),
                    Linear(120, 84), ReLU(), Linear(84, 10));
}

// "mlp:784-800-800-10"
torch::nn::Sequential Mlp(const std::string& architecture) {
  std::vector<int64_t> sizes;
  for (const auto& size : absl::StrSplit(architecture.substr(4), '-')) {
    sizes.push_back(std::atoll(std::string(size).c_str()));
  }
  torch::nn::Sequential layers(torch::nn::Flatten{});
  for (size_t i = 1; i < sizes.size(); ++i) {
    layers->push_back(torch::nn::Linear(sizes[i - 1], sizes[i]));
    if (i + 1 < sizes.size()) layers->push_back(torch::nn::ReLU());
  }
  return layers;
}

class TorchLoop : public BareTraining {
 public:
  TorchLoop(const RunSpec& spec, at::Tensor inputs, at::Tensor labels)
      : spec_(spec), inputs_(std::move(inputs)), labels_(std::move(labels)) {}

  double TrainEpoch() override {
    const std::string& architecture = spec_.student.architecture;
    torch::nn::Sequential model = architecture == "lenet" ? LeNet() : Mlp(architecture);
    torch::optim::SGD optimizer(
        model->parameters(),
        torch::optim::SGDOptions(spec_.training.learning_rate).momentum(spec_.training.momentum));
    const int64_t batch = spec_.training.batch_size;
    const absl::Time start = absl::Now();
    const at::Tensor order = torch::randperm(inputs_.size(0));
    double loss_sum = 0;
    for (int64_t first = 0; first + batch <= inputs_.size(0); first += batch) {
      const at::Tensor rows = order.narrow(0, first, batch);
      optimizer.zero_grad();
      const at::Tensor loss = torch::cross_entropy_loss(
          model->forward(inputs_.index_select(0, rows)), labels_.index_select(0, rows));
      loss.backward();
      optimizer.step();
      loss_sum += loss.item<double>();
    }
    return loss_sum > 0 ? absl::ToDoubleSeconds(absl::Now() - start) : 0;
  }

 private:
  const RunSpec spec_;
  // [samples, channels, height, width]
  const at::Tensor inputs_;
  const at::Tensor labels_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<BareTraining>> BareTraining::Create(const RunSpec& spec,
                                                                   const Dataset& dataset,
                                                                   const ModelCard& card) {
  ConfigureTorch(spec.compute_threads);
  std::vector<int64_t> rows(static_cast<size_t>(dataset.size()));
  std::iota(rows.begin(), rows.end(), 0);
  DISTILLERY_ASSIGN_OR_RETURN(const LoadedSamples samples, LoadSamples(dataset, rows, View{}));
  const Normaliser normalise(card, at::Device(at::kCPU));
  return std::make_unique<TorchLoop>(spec, normalise(samples.inputs)[0], samples.labels);
}

}  // namespace distillery
