#include "teacher_service/torch_teacher.h"

#include <torch/cuda.h>
#include <torch/script.h>

#include <cmath>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/checksum.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/model/architecture.h"
#include "common/model/model_file.h"
#include "common/model/numerics.h"

namespace distillery {
namespace {

absl::StatusOr<at::ScalarType> ParsePrecision(const std::string& text, const at::Device& device) {
  if (text == "float32") return at::kFloat;
  if (text == "bfloat16") return at::kBFloat16;
  if (text == "float16" && device.is_cuda()) return at::kHalf;
  if (text == "float16") {
    return absl::InvalidArgumentError("precision float16 needs a CUDA device, got cpu");
  }
  return absl::InvalidArgumentError(
      UnknownName("precision", text, {"float32", "bfloat16", "float16"}));
}

absl::StatusOr<at::Device> ParseDevice(const std::string& text) {
  if (text == "cpu") return at::Device(at::kCPU);
  int64_t index = 0;
  if (text != "cuda" &&
      !(absl::StartsWith(text, "cuda:") && absl::SimpleAtoi(text.substr(5), &index) && index >= 0)) {
    return absl::InvalidArgumentError(UnknownName("device", text, {"cpu", "cuda", "cuda:N"}));
  }
  const auto count = static_cast<int64_t>(torch::cuda::device_count());
  if (index >= count) {
    return absl::FailedPreconditionError(
        absl::StrCat("device ", text, " is not there: this LibTorch sees ", count,
                     " CUDA devices; use cpu, or a LibTorch with CUDA on a GPU node"));
  }
  return at::Device(at::kCUDA, static_cast<at::DeviceIndex>(index));
}

class TorchTeacher : public Teacher {
 public:
  TorchTeacher(LoadedModel model, const TorchTeacherOptions& options, const at::Device& device,
               at::ScalarType precision)
      : model_(std::move(model)),
        compute_threads_(options.compute_threads),
        device_(device),
        precision_(precision) {
    model_.module.to(device_);
    if (precision_ != at::kFloat) model_.module.to(precision_);
    const ModelCard& card = model_.card;
    const auto channels = static_cast<int64_t>(card.mean.size());
    mean_ = torch::tensor(card.mean).view({1, channels, 1, 1}).to(device_);
    deviation_ = torch::tensor(card.deviation).view({1, channels, 1, 1}).to(device_);
    info_.model_name = options.name;
    info_.card = card;
    info_.parameter_count = CountParameters(model_.module);
    info_.numerics_fingerprint =
        absl::StrCat(NumericsFingerprint(), " threads=", options.compute_threads);
    if (!device_.is_cpu() || precision_ != at::kFloat) {
      absl::StrAppend(&info_.numerics_fingerprint, " teacher_device=", device_.type() == at::kCUDA
                      ? "cuda" : "cpu", " teacher_precision=", options.precision);
    }
    info_.batch_rows = options.batch_rows;
    info_.max_batch_rows = options.max_batch_rows > 0 ? options.max_batch_rows
                                                      : device_.is_cpu() ? 256 : 1024;
    info_.half_logits = options.half_logits;
    info_.digest = Sha256Hex(absl::StrCat("distillery teacher 2\n", model_.sha256, "\n",
                                          ModelCardToJson(model_.card), "\nbatch_rows ",
                                          options.batch_rows, "\n", info_.numerics_fingerprint,
                                          options.half_logits ? "\nlogits float16" : ""));
  }

  const TeacherInfo& info() const override { return info_; }

  absl::Status ComputeLogits(const float* inputs, int64_t rows, float* logits) override {
    return CatchTorchErrors([&]() -> absl::Status {
      thread_local const bool configured = [this] {
        ConfigureTorch(compute_threads_);
        return true;
      }();
      (void)configured;
      const c10::InferenceMode inference;
      const ImageShape& shape = info_.card.input_shape;
      // from_blob wants a mutable pointer; the module only reads.
      at::Tensor batch = torch::from_blob(
          const_cast<float*>(inputs),  // NOLINT
          {rows, shape.channels, shape.height, shape.width});
      if (!device_.is_cpu()) batch = batch.to(device_);
      batch = (batch - mean_).div_(deviation_);
      if (precision_ != at::kFloat) batch = batch.to(precision_);
      at::Tensor output = model_.module.forward({batch}).toTensor().to(at::kFloat);
      // log p are logits of the same softmax; the floor keeps a class of probability 0 finite.
      constexpr double kSmallest = 1e-30;
      if (info_.card.outputs_probabilities) output = output.clamp_min(kSmallest).log();
      output = output.to(at::kCPU).contiguous();
      const int64_t classes = info_.card.class_count();
      if (output.dim() != 2 || output.size(0) != rows || output.size(1) != classes) {
        return absl::InternalError(absl::StrCat("model ", info_.model_name,
                                                " did not answer with [", rows, ", ", classes,
                                                "] values"));
      }
      std::memcpy(logits, output.data_ptr<float>(),
                  static_cast<size_t>(output.numel()) * sizeof(float));
      return CheckFinite(logits, rows, classes);
    });
  }

 private:
  // A target that is not finite would poison every loss it reaches.
  absl::Status CheckFinite(const float* logits, int64_t rows, int64_t classes) const {
    // The sum is finite only if all are, but for sums of huge values: look closer then.
    float sum = 0;
    for (int64_t i = 0; i < rows * classes; ++i) sum += logits[i];
    if (std::isfinite(sum)) return absl::OkStatus();
    for (int64_t i = 0; i < rows * classes; ++i) {
      if (std::isfinite(logits[i])) continue;
      return absl::InternalError(absl::StrCat("model ", info_.model_name, " answered with ",
                                              logits[i], " for class ", i % classes, " of row ",
                                              i / classes, " of the batch"));
    }
    return absl::OkStatus();
  }

  LoadedModel model_;
  const int64_t compute_threads_;
  const at::Device device_;
  const at::ScalarType precision_;
  // [1, channels, 1, 1]
  at::Tensor mean_;
  at::Tensor deviation_;
  TeacherInfo info_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Teacher>> LoadTorchTeacher(const TorchTeacherOptions& options) {
  ConfigureTorch(options.compute_threads);
  DISTILLERY_ASSIGN_OR_RETURN(const at::Device device, ParseDevice(options.device));
  DISTILLERY_ASSIGN_OR_RETURN(const at::ScalarType precision,
                              ParsePrecision(options.precision, device));
  DISTILLERY_ASSIGN_OR_RETURN(LoadedModel model, LoadModel(options.model_path, options.card));
  std::unique_ptr<Teacher> teacher;
  DISTILLERY_RETURN_IF_ERROR(CatchTorchErrors([&] {
    teacher = std::make_unique<TorchTeacher>(std::move(model), options, device, precision);
    return absl::OkStatus();
  }));
  // The first pass through a graph costs more: nobody shall wait for it.
  const ImageShape& shape = teacher->info().card.input_shape;
  const std::vector<float> inputs(static_cast<size_t>(shape.size()));
  std::vector<float> logits(static_cast<size_t>(teacher->info().card.class_count()));
  DISTILLERY_RETURN_IF_ERROR(teacher->ComputeLogits(inputs.data(), 1, logits.data()));
  return teacher;
}

}  // namespace distillery
