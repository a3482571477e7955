#include "teacher_service/teachers/torch_teacher.h"

#include <torch/script.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/checksum.h"
#include "common/base/files.h"
#include "common/base/half.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/nn/architecture.h"
#include "common/nn/device.h"
#include "common/nn/model_call.h"
#include "common/nn/model_file.h"
#include "common/nn/model_format.h"
#include "common/nn/model_probe.h"
#include "common/nn/normaliser.h"
#include "common/nn/numerics.h"
#include "teacher_service/teachers/compiled_model.h"
#include "teacher_service/teachers/device_lane.h"
#include "teacher_service/teachers/finite_rows.h"
#include "teacher_service/teachers/padded_batch.h"
#include "teacher_service/teachers/tensor_encoding.h"

namespace distillery {
namespace {

// Empty: as the file holds the model.
absl::StatusOr<std::optional<at::ScalarType>> ParsePrecision(const std::string& text,
                                                             const ComputeDevice& device) {
  static const std::vector<std::string> kNames = {"float32", "bfloat16", "float16"};
  if (text.empty()) return std::nullopt;
  if (std::find(kNames.begin(), kNames.end(), text) == kNames.end()) {
    return absl::InvalidArgumentError(UnknownName("precision", text, kNames));
  }
  if (text == "float16" && device.is_cpu()) {
    return absl::InvalidArgumentError("precision float16 needs a CUDA device, got cpu");
  }
  return ElementTypeOf(text);
}

// A model on its device, from whatever file.
struct PlacedModel {
  // Normalised inputs, of the types of ModelType, to what CallModel gives. Safe for all threads.
  std::function<at::Tensor(const std::vector<at::Tensor>&)> call;
  ModelCard card;
  std::string sha256;
  // What it is computed in.
  std::string precision;
  // 0: unknown.
  int64_t parameter_count = 0;
};

absl::StatusOr<PlacedModel> PlaceTorchScript(const TorchTeacherOptions& options,
                                             const ComputeDevice& device,
                                             std::optional<at::ScalarType> precision,
                                             std::string bytes) {
  DISTILLERY_ASSIGN_OR_RETURN(LoadedModel model,
                              ParseModel(options.model_path, std::move(bytes), options.card));
  model.module.to(device.tensors);
  if (precision.has_value()) CastFloats(model.module, *precision);
  ProbeOptions probe;
  probe.device = device.tensors;
  probe.precision = precision;
  DISTILLERY_RETURN_IF_ERROR(
      Annotate(ProbeModule(model.module, probe, &model.card), options.model_path));
  PlacedModel placed;
  placed.parameter_count = CountParameters(model.module);
  placed.card = model.card;
  placed.sha256 = std::move(model.sha256);
  ModelCard asked = std::move(model.card);
  if (precision.has_value()) asked.input_type = NameOf(*precision);
  placed.precision = asked.input_type.empty() ? "float32" : asked.input_type;
  placed.call = [module = model.module,
                 asked = std::move(asked)](const std::vector<at::Tensor>& inputs) {
    return CallModel(module, asked, inputs);
  };
  return placed;
}

// Whose precision is that of its compilation.
absl::StatusOr<PlacedModel> PlaceCompiled(const TorchTeacherOptions& options,
                                          const ComputeDevice& device, const std::string& bytes) {
  if (!options.card.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat(options.model_path, " carries no model card: give one with --card"));
  }
  DISTILLERY_RETURN_IF_ERROR(CheckUndamaged(options.model_path, bytes));
  DISTILLERY_ASSIGN_OR_RETURN(auto compiled, LoadCompiledModel(options.model_path, device));
  PlacedModel placed;
  placed.card = *options.card;
  placed.sha256 = Sha256Hex(bytes);
  placed.precision = options.precision.empty() ? "float32" : options.precision;
  ModelCard asked = placed.card;
  if (!options.precision.empty()) asked.input_type = options.precision;
  placed.call = [compiled = std::move(compiled),
                 card = std::move(asked)](const std::vector<at::Tensor>& inputs) {
    const std::vector<at::Tensor> outputs = compiled(CastInputs(inputs, card));
    const bool alone = outputs.size() == 1 && card.output_key.empty();
    const absl::StatusOr<at::Tensor> output =
        SelectOutput(alone ? c10::IValue(outputs[0]) : c10::IValue(outputs), card);
    TORCH_CHECK(output.ok(), std::string(output.status().message()));
    return output->to(at::kFloat);
  };
  ProbeSubject subject;
  subject.call = placed.call;
  subject.device = device.tensors;
  // It may compute in anything inside.
  subject.batch_tolerance = 5e-2;
  subject.sum_tolerance = 2e-2;
  DISTILLERY_RETURN_IF_ERROR(Annotate(ProbeModel(subject, placed.card), options.model_path));
  return placed;
}

absl::StatusOr<PlacedModel> PlaceModel(const TorchTeacherOptions& options,
                                       const ComputeDevice& device,
                                       std::optional<at::ScalarType> precision) {
  DISTILLERY_ASSIGN_OR_RETURN(std::string bytes, ReadFile(options.model_path, kMaxModelBytes));
  if (FormatOf(bytes).kind == ModelFormat::Kind::kCompiled) {
    return PlaceCompiled(options, device, bytes);
  }
  return PlaceTorchScript(options, device, precision, std::move(bytes));
}

class TorchTeacher : public Teacher {
 public:
  // `lanes` is null on a CPU.
  TorchTeacher(PlacedModel model, const TorchTeacherOptions& options, const ComputeDevice& device,
               std::shared_ptr<DeviceLanes> lanes)
      : model_(std::move(model)),
        compute_threads_(options.compute_threads),
        device_(device),
        lanes_(std::move(lanes)),
        normalise_(model_.card, device.tensors) {
    const ModelCard& card = model_.card;
    info_.model_name = options.name;
    info_.card = card;
    info_.parameter_count = model_.parameter_count;
    info_.numerics_fingerprint =
        absl::StrCat(NumericsFingerprint(), " threads=", options.compute_threads);
    if (!device_.is_cpu() || model_.precision != "float32") {
      absl::StrAppend(&info_.numerics_fingerprint, " teacher_device=", device_.kind,
                      " teacher_precision=", model_.precision);
    }
    if (options.cuda_graphs && !device_.is_cpu()) {
      absl::StrAppend(&info_.numerics_fingerprint, " cuda_graphs");
    }
    info_.batch_rows = options.batch_rows;
    info_.max_batch_rows = options.max_batch_rows > 0 ? options.max_batch_rows
                           : device_.is_cpu()         ? 256
                                                      : 1024;
    // A graph is captured and replayed with one batch of floats.
    const std::vector<InputSpec>& inputs = card.samples.inputs;
    if (options.cuda_graphs && !device_.is_cpu() && inputs.size() == 1 &&
        ScalarTypeOf(inputs[0]) == at::kFloat) {
      sizes_ = PaddedSizes({info_.batch_rows, info_.max_batch_rows});
    }
    info_.half_logits = options.half_logits;
    info_.digest = Sha256Hex(absl::StrCat("distillery teacher 2\n", model_.sha256, "\n",
                                          ModelCardToJson(model_.card), "\nbatch_rows ",
                                          options.batch_rows, "\n", info_.numerics_fingerprint,
                                          options.half_logits ? "\nlogits float16" : ""));
  }

  const TeacherInfo& info() const override { return info_; }

  absl::Status ComputeLogits(const InputColumns& inputs, int64_t rows, float* logits) override {
    return Run([&] {
      return lanes_ == nullptr ? ComputeHere(inputs, rows, logits)
                               : ComputeOnDevice({inputs}, rows, logits);
    });
  }

  bool takes_bytes() const override { return lanes_ != nullptr && info_.card.samples.is_picture(); }

  absl::Status ComputeLogitsOfBytes(const uint8_t* bytes, int pixel_max, int64_t rows,
                                    float* logits) override {
    Inputs inputs;
    inputs.bytes = bytes;
    inputs.pixel_max = pixel_max;
    return Run([&] { return ComputeOnDevice(inputs, rows, logits); });
  }

  bool encodes() const override { return lanes_ != nullptr; }

  absl::StatusOr<std::vector<absl::Status>> ComputeSoftTargets(
      const InputColumns& inputs, int64_t rows, const std::vector<EncodedPart>& parts) override {
    const auto row_values = static_cast<size_t>(info_.card.row_values());
    std::vector<absl::Status> answers(parts.size());
    const absl::Status status = Run([&]() -> absl::Status {
      DeviceLanes::Lease lane(lanes_.get());
      DISTILLERY_ASSIGN_OR_RETURN(at::Tensor logits, ForwardOn(lane, {inputs}, rows));
      bool finite = false;
      std::vector<DeviceLane::Output> outputs = {{logits.isfinite().all(), &finite}};
      if (info_.half_logits) logits = ToHalf(logits).to(at::kFloat);
      int64_t first = 0;
      for (const EncodedPart& part : parts) {
        const EncodedTensors encoded = EncodeTensors(logits.narrow(0, first, part.rows),
                                                     part.format, info_.card.samples.answer.kind);
        first += part.rows;
        for (const TensorRole role : kTensorRoles) {
          if (encoded[role].defined()) outputs.push_back({encoded[role], part.output[role]});
        }
      }
      lane->CopyOut(outputs);
      if (!finite) {
        std::vector<float> values(static_cast<size_t>(logits.numel()));
        lane->CopyOut(logits, values.data());
        first = 0;
        for (size_t i = 0; i < parts.size(); ++i) {
          answers[i] = CheckFiniteRows(info_, &values[static_cast<size_t>(first) * row_values],
                                       parts[i].rows);
          first += parts[i].rows;
        }
      }
      lane.Done();
      return absl::OkStatus();
    });
    if (!status.ok()) return status;
    return answers;
  }

 private:
  // A batch's inputs as columns, or as bytes of pictures of which pixel_max is 1.
  struct Inputs {
    InputColumns columns;
    const uint8_t* bytes = nullptr;
    int pixel_max = 1;
  };

  // Sets the thread up, and makes a status of what LibTorch throws.
  absl::Status Run(const std::function<absl::Status()>& compute) {
    absl::Status status = CatchTorchErrors([&]() -> absl::Status {
      thread_local const bool configured = [this] {
        ConfigureTorch(compute_threads_);
        return true;
      }();
      (void)configured;
      const c10::InferenceMode inference;
      return compute();
    });
    if (status.ok() || device_.is_cpu()) return status;
    // Blocks of sizes that no longer fit may be all that is missing for a smaller batch.
    if (absl::IsResourceExhausted(status)) {
      DISTILLERY_RETURN_IF_ERROR(CatchTorchErrors([this] {
        device_.runtime->EmptyCache();
        return absl::OkStatus();
      }));
    }
    return Annotate(status, device_.name);
  }

  absl::Status ComputeHere(const InputColumns& inputs, int64_t rows, float* logits) {
    std::vector<at::Tensor> batch;
    for (size_t i = 0; i < inputs.size(); ++i) {
      const InputSpec& input = info_.card.samples.inputs[i];
      // from_blob wants a mutable pointer; the module only reads.
      batch.push_back(torch::from_blob(const_cast<void*>(inputs[i]),  // NOLINT
                                       BatchShape(input, rows), ScalarTypeOf(input)));
    }
    DISTILLERY_ASSIGN_OR_RETURN(const at::Tensor output, CheckShape(Apply(batch), rows));
    const at::Tensor rows_of_logits = output.contiguous();
    std::memcpy(logits, rows_of_logits.data_ptr<float>(),
                static_cast<size_t>(output.numel()) * sizeof(float));
    return absl::OkStatus();
  }

  absl::Status ComputeOnDevice(const Inputs& inputs, int64_t rows, float* logits) {
    DeviceLanes::Lease lane(lanes_.get());
    DISTILLERY_ASSIGN_OR_RETURN(const at::Tensor output, ForwardOn(lane, inputs, rows));
    if (info_.half_logits) {
      // Half the bytes on the way back, and what a cache of float16 holds.
      std::string halves(static_cast<size_t>(output.numel()) * 2, '\0');
      lane->CopyOut(ToHalf(output), halves.data());
      HalvesToFloats(halves.data(), output.numel(), logits);
    } else {
      lane->CopyOut(output, logits);
    }
    lane.Done();
    return absl::OkStatus();
  }

  absl::StatusOr<at::Tensor> ForwardOn(DeviceLanes::Lease& lane, const Inputs& inputs,
                                       int64_t rows) {
    const std::vector<at::Tensor> batch = CopyIn(lane, inputs, rows);
    if (sizes_.empty()) return CheckShape(Apply(batch), rows);
    return CheckShape(lane->Forward(batch.front(), sizes_,
                                    [this](const at::Tensor& numbers) { return Apply({numbers}); }),
                      rows);
  }

  std::vector<at::Tensor> CopyIn(DeviceLanes::Lease& lane, const Inputs& inputs, int64_t rows) {
    const std::vector<InputSpec>& specs = info_.card.samples.inputs;
    if (inputs.bytes != nullptr) {
      at::Tensor batch = lane->CopyIn(inputs.bytes, at::kByte, BatchShape(specs[0], rows));
      batch = batch.to(at::kFloat);
      // By a tensor: by a number, CUDA multiplies with its inverse, which is another float.
      batch.div_(at::full({1}, inputs.pixel_max, batch.options()));
      return {batch};
    }
    std::vector<DeviceLane::Input> columns;
    for (size_t i = 0; i < specs.size(); ++i) {
      columns.push_back({inputs.columns[i], ScalarTypeOf(specs[i]), BatchShape(specs[i], rows)});
    }
    return lane->CopyIn(columns);
  }

  // Inputs [rows, ...] to logits, float32 [rows, positions..., classes], where the inputs are.
  at::Tensor Apply(const std::vector<at::Tensor>& batch) {
    return LogitsOf(model_.call(normalise_(batch)), model_.card);
  }

  absl::StatusOr<at::Tensor> CheckShape(at::Tensor output, int64_t rows) const {
    const AnswerShape answer = info_.card.answer_shape();
    std::vector<int64_t> sizes = answer.SizesFor(rows);
    sizes.push_back(answer.classes);
    if (output.sizes() != at::IntArrayRef(sizes)) {
      return absl::InternalError(absl::StrCat("model ", info_.model_name, " did not answer with [",
                                              absl::StrJoin(sizes, ", "), "] values"));
    }
    return output;
  }

  const PlacedModel model_;
  const int64_t compute_threads_;
  const ComputeDevice device_;
  // Null on a CPU.
  const std::shared_ptr<DeviceLanes> lanes_;
  // The sizes of batches that are captured; empty: none is.
  std::vector<int64_t> sizes_;
  const Normaliser normalise_;
  TeacherInfo info_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Teacher>> LoadTorchTeacher(const TorchTeacherOptions& options) {
  ConfigureTorch(options.compute_threads);
  DISTILLERY_ASSIGN_OR_RETURN(const ComputeDevice device,
                              ParseDevice(options.device, options.devices));
  DISTILLERY_ASSIGN_OR_RETURN(const std::optional<at::ScalarType> precision,
                              ParsePrecision(options.precision, device));
  std::unique_ptr<Teacher> teacher;
  DISTILLERY_RETURN_IF_ERROR(CatchTorchErrors([&]() -> absl::Status {
    const auto lanes = device.is_cpu() ? nullptr : std::make_shared<DeviceLanes>(device);
    // On a stream that is waited for: other lanes must not see a model that is still being copied.
    std::optional<DeviceLanes::Lease> lane;
    if (lanes != nullptr) lane.emplace(lanes.get());
    absl::StatusOr<PlacedModel> model = PlaceModel(options, device, precision);
    if (!model.ok()) {
      return device.is_cpu() ? model.status() : Annotate(model.status(), device.name);
    }
    teacher = std::make_unique<TorchTeacher>(*std::move(model), options, device, lanes);
    return absl::OkStatus();
  }));
  // The first pass through a graph costs more: nobody shall wait for it.
  const ModelCard& card = teacher->info().card;
  InputBuffer inputs;
  inputs.Resize(card.samples.inputs, 1);
  inputs.Clear(card.samples.inputs, 1);
  std::vector<float> logits(static_cast<size_t>(card.row_values()));
  DISTILLERY_RETURN_IF_ERROR(teacher->ComputeLogits(inputs.inputs(), 1, logits.data()));
  const absl::Status finite = CheckFiniteRows(teacher->info(), logits.data(), 1);
  if (!finite.ok()) return device.is_cpu() ? finite : Annotate(finite, device.name);
  return teacher;
}

}  // namespace distillery
