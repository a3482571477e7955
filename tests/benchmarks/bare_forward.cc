#include "tests/benchmarks/bare_forward.h"

#include <torch/script.h>

#include <atomic>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/data/class_names.h"
#include "common/nn/architecture.h"
#include "common/nn/model_call.h"
#include "common/nn/model_file.h"
#include "common/nn/numerics.h"
#include "teacher_service/teachers/device_lane.h"
#include "tests/benchmarks/resnet50.h"

namespace distillery {
namespace {

constexpr float kMean = 0.5F;
constexpr float kDeviation = 0.25F;

at::ScalarType TypeOf(const std::string& precision) {
  return precision == "bfloat16" ? at::kBFloat16 : precision == "float16" ? at::kHalf : at::kFloat;
}

// Pixels as the service's clients send them, normalised beforehand: the branches of max pooling
// take as long as their data is hard to predict.
at::Tensor RandomInputs(int64_t rows, const ImageShape& shape) {
  return torch::randint(0, 256, {rows, shape.channels, shape.height, shape.width})
      .div(255)
      .sub(kMean)
      .div(kDeviation);
}

class TorchForward : public BareForward {
 public:
  TorchForward(torch::jit::Module module, const ImageShape& shape, const ComputeDevice& device,
               const BareForwardOptions& options)
      : module_(std::move(module)),
        type_(TypeOf(options.precision)),
        lanes_(device.is_cpu() ? nullptr : std::make_unique<DeviceLanes>(device)),
        inputs_(RandomInputs(options.input_rows, shape)) {
    module_.to(device.tensors);
    if (type_ != at::kFloat) CastFloats(module_, type_);
    if (device.is_cpu()) return;
    at::Tensor pinned = device.runtime->PinnedTensor(inputs_.sizes(), at::kFloat);
    pinned.copy_(inputs_);
    inputs_ = pinned;
  }

  int64_t Run(int64_t batch_rows, int threads, double seconds) override {
    std::atomic<int64_t> rows{0};
    std::vector<std::thread> running;
    const absl::Time end = absl::Now() + absl::Seconds(seconds);
    for (int i = 0; i < threads; ++i) {
      running.emplace_back([&, i] { rows += RunThread(batch_rows, i, end); });
    }
    for (std::thread& thread : running) thread.join();
    return rows;
  }

  void Compute(int64_t batch_rows, int64_t rows) override {
    RunBatches(batch_rows, 0, [rows](int64_t done) { return done < rows; });
  }

 private:
  int64_t RunThread(int64_t batch_rows, int thread, absl::Time end) {
    return RunBatches(batch_rows, thread * batch_rows % inputs_.size(0),
                      [end](int64_t /*rows*/) { return absl::Now() < end; });
  }

  // Batches from row `first` of the inputs on, one and then more as long as `more`, told the rows
  // so far, says so.
  template <typename More>
  int64_t RunBatches(int64_t batch_rows, int64_t first, const More& more) {
    ConfigureTorch(/*compute_threads=*/1);
    const c10::InferenceMode inference;
    int64_t rows = 0;
    do {
      RunBatch(inputs_.narrow(0, first, batch_rows));
      rows += batch_rows;
      first = (first + batch_rows) % inputs_.size(0);
    } while (more(rows));
    return rows;
  }

  // [rows, channels, height, width] -> [rows, classes]
  void RunBatch(at::Tensor batch) {
    if (lanes_ == nullptr) {
      if (type_ != at::kFloat) batch = batch.to(type_);
      module_.forward({batch});
      return;
    }
    const ComputeDevice& device = lanes_->device();
    DeviceLanes::Lease lane(lanes_.get());
    batch = device.runtime->CopyToDevice(batch, device.tensors);
    if (type_ != at::kFloat) batch = batch.to(type_);
    const at::Tensor output = module_.forward({batch}).toTensor().to(at::kFloat);
    at::Tensor host = device.runtime->PinnedTensor(output.sizes(), at::kFloat);
    device.runtime->CopyToHost(output, host);
    lane->Wait();
    lane.Done();
  }

  torch::jit::Module module_;
  const at::ScalarType type_;
  // Null on a CPU.
  const std::unique_ptr<DeviceLanes> lanes_;
  at::Tensor inputs_;
};

}  // namespace

absl::Status WriteModelFile(const std::string& path, const BenchmarkModel& model) {
  absl::StatusOr<torch::jit::Module> module =
      model.architecture == "resnet50"
          ? BuildLayers(PlanResnet50(model.shape.channels, model.classes), /*seed=*/1)
          : BuildArchitecture(model.architecture, model.shape, model.classes, /*seed=*/1);
  if (!module.ok()) return module.status();
  ModelCard card;
  card.architecture = model.architecture;
  card.samples = SampleSpec::Pictures(model.shape, 255);
  card.mean = std::vector<float>(static_cast<size_t>(model.shape.channels), kMean);
  card.deviation = std::vector<float>(static_cast<size_t>(model.shape.channels), kDeviation);
  card.class_names = NumberedClassNames(model.classes);
  return SaveModel(path, *module, card);
}

absl::StatusOr<std::unique_ptr<BareForward>> BareForward::Load(const std::string& model_path,
                                                               const BareForwardOptions& options) {
  ConfigureTorch(/*compute_threads=*/1);
  DISTILLERY_ASSIGN_OR_RETURN(const ComputeDevice device, ParseDevice(options.device));
  DISTILLERY_ASSIGN_OR_RETURN(LoadedModel model, LoadModel(model_path));
  std::unique_ptr<BareForward> forward;
  DISTILLERY_RETURN_IF_ERROR(CatchTorchErrors([&] {
    forward = std::make_unique<TorchForward>(std::move(model.module),
                                             model.card.samples.picture_shape(), device, options);
    return absl::OkStatus();
  }));
  return forward;
}

absl::StatusOr<double> RelativeError(const std::string& model_path, const std::string& device,
                                     const std::string& precision, int64_t rows) {
  DISTILLERY_ASSIGN_OR_RETURN(const ComputeDevice there, ParseDevice(device));
  DISTILLERY_ASSIGN_OR_RETURN(LoadedModel model, LoadModel(model_path));
  DISTILLERY_ASSIGN_OR_RETURN(LoadedModel exact, LoadModel(model_path));
  double error = 0;
  DISTILLERY_RETURN_IF_ERROR(CatchTorchErrors([&] {
    const c10::InferenceMode inference;
    const at::Tensor inputs = RandomInputs(rows, model.card.samples.picture_shape());
    CastFloats(exact.module, at::kDouble);
    const at::Tensor reference = exact.module.forward({inputs.to(at::kDouble)}).toTensor();
    model.module.to(there.tensors);
    CastFloats(model.module, TypeOf(precision));
    const at::Tensor got = model.module.forward({inputs.to(there.tensors).to(TypeOf(precision))})
                               .toTensor()
                               .to(at::kCPU)
                               .to(at::kDouble);
    error = ((got - reference).abs().max() / reference.abs().max()).item<double>();
    return absl::OkStatus();
  }));
  return error;
}

}  // namespace distillery
