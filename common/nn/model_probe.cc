#include "common/nn/model_probe.h"

#include <ATen/Context.h>
#include <torch/version.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/philox.h"
#include "common/base/status_macros.h"
#include "common/nn/inputs.h"
#include "common/nn/model_call.h"
#include "common/nn/numerics.h"
#include "common/nn/output_values.h"

namespace distillery {
namespace {

constexpr int64_t kRows = 4;
constexpr char kPure[] = ": its answer for a picture must depend on that picture alone";

// Pixels in 0..1 of unlike pictures: noise, a ramp, a light disc, dark stripes. Float32
// [kRows, channels, height, width].
at::Tensor Pictures(const ImageShape& shape) {
  const auto [channels, height, width] = std::tuple(shape.channels, shape.height, shape.width);
  at::Tensor noise = torch::empty({channels, height, width});
  RandomStream random(/*seed=*/1, "model probe");
  auto* const values = noise.data_ptr<float>();
  for (int64_t i = 0; i < noise.numel(); ++i) values[i] = random.Uniform();
  const at::Tensor y = torch::linspace(0, 1, height).view({1, height, 1});
  const at::Tensor x = torch::linspace(0, 1, width).view({1, 1, width});
  const at::Tensor ramp = ((x + y) / 2).expand_as(noise);
  const at::Tensor disc = ((x - 0.5).square() + (y - 0.5).square()).lt(0.1).to(at::kFloat);
  constexpr double kStripes = 20;
  const at::Tensor stripes = ((x - y) * kStripes).sin() * 0.5 + 0.5;
  return torch::stack({noise, ramp, disc * 0.9 + noise * 0.1, 1 - stripes * (1 - noise * 0.2)});
}

// How far LibTorch's generator of that device has come: what draws from it moves it.
std::string GeneratorState(const at::Device& device) {
  at::Generator generator = at::globalContext().defaultGenerator(device);
  at::Tensor state;
  {
    const std::lock_guard<std::mutex> lock(generator.mutex());
    state = generator.get_state().contiguous();
  }
  return {static_cast<const char*>(state.data_ptr()), state.nbytes()};
}

// What a module holds besides its code, so that a change of it is seen.
class HeldState {
 public:
  explicit HeldState(const torch::jit::Module* module) {
    if (module == nullptr) return;
    for (const auto& attribute : module->named_attributes(/*recurse=*/true)) {
      const c10::IValue& value = attribute.value;
      std::string text;
      if (value.isTensor() && value.toTensor().defined()) {
        const at::Tensor& tensor = value.toTensor();
        tensors_.push_back(tensor);
        text = absl::StrCat(reinterpret_cast<uintptr_t>(tensor.unsafeGetTensorImpl()), " ",
                            tensor.is_inference() ? 0 : tensor._version());
      } else if (value.isInt() || value.isBool() || value.isDouble() || value.isString()) {
        text = absl::StrCat(c10::str(value));
      }
      values_[attribute.name] = std::move(text);
    }
  }

  // The first attribute that is not as it was in `earlier`; "" if there is none.
  std::string ChangedSince(const HeldState& earlier) const {
    for (const auto& [name, value] : values_) {
      const auto before = earlier.values_.find(name);
      if (before == earlier.values_.end() || before->second != value) return name;
    }
    return "";
  }

 private:
  std::map<std::string, std::string> values_;
  // Kept, so that no other tensor gets the address of one.
  std::vector<at::Tensor> tensors_;
};

class Probe {
 public:
  Probe(const ProbeSubject& subject, const ModelCard& card)
      : subject_(subject), card_(card), pictures_(Normalise(Pictures(card.input_shape), card)) {}

  absl::Status Run() {
    std::string drawn = Drawn();
    DISTILLERY_ASSIGN_OR_RETURN(together_, First());
    const HeldState held(subject_.module);
    DISTILLERY_RETURN_IF_ERROR(CheckRepeats());
    if (Drawn() != drawn) {
      // Dropout that drops little changes few answers: look longer.
      constexpr int kMoreCalls = 8;
      for (int i = 0; i < kMoreCalls; ++i) DISTILLERY_RETURN_IF_ERROR(CheckRepeats());
    }
    DISTILLERY_RETURN_IF_ERROR(CheckRowsStandAlone({0}));
    DISTILLERY_RETURN_IF_ERROR(CheckRowsStandAlone({3, 2, 1}));
    if (const std::string changed = HeldState(subject_.module).ChangedSince(held);
        !changed.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "it keeps state: its attribute ", changed,
          " changes while it answers, and several callers "
          "are answered at once: change attributes in training alone (if self.training)",
          kPure));
    }
    DISTILLERY_RETURN_IF_ERROR(CheckFinite());
    OutputQuestion question;
    question.rows = together_;
    question.tolerance = subject_.sum_tolerance;
    question.untrained = subject_.untrained;
    question.overdriven = [this] { return Overdriven(); };
    return CheckOutputValues(question, card_);
  }

 private:
  // float32 [rows, classes] on the CPU.
  absl::StatusOr<at::Tensor> Ask(const at::Tensor& pictures) const {
    at::Tensor output;
    const absl::Status asked = CatchTorchErrors([&] {
      output = subject_.call(pictures.to(subject_.device)).to(at::kCPU).contiguous();
      return absl::OkStatus();
    });
    if (absl::IsResourceExhausted(asked)) return asked;
    if (!asked.ok()) return absl::InvalidArgumentError(std::string(asked.message()));
    const int64_t rows = pictures.size(0);
    if (output.dim() != 2 || output.size(0) != rows || output.size(1) != card_.class_count()) {
      return absl::InvalidArgumentError(
          absl::StrCat("its output for ", rows, rows == 1 ? " row" : " rows", " has the shape [",
                       absl::StrJoin(output.sizes(), ", "), "], the card's class_names make it [",
                       rows, ", ", card_.class_count(), "]"));
    }
    return output;
  }

  absl::StatusOr<at::Tensor> First() const {
    absl::StatusOr<at::Tensor> answers = Ask(pictures_);
    if (answers.ok() || absl::IsResourceExhausted(answers.status())) return answers;
    if (!Ask(pictures_.narrow(0, 0, 1)).ok()) return answers;
    return absl::InvalidArgumentError(absl::StrCat(
        "it answers one row, but not ", kRows, " (", answers.status().message(),
        "): batches have up to thousands of rows. Tracing fixes the number where forward "
        "names it, as in x.reshape(1, -1): write x.flatten(1), or use torch.jit.script"));
  }

  // Largest difference between rows of answers; infinite if one is finite where the other is not.
  static double Difference(const at::Tensor& a, const at::Tensor& b) {
    const at::Tensor difference = (a - b).abs();
    const at::Tensor same = a.eq(b).logical_or(a.isfinite().logical_or(b.isfinite()).logical_not());
    return difference.masked_fill(same, 0).nan_to_num(HUGE_VAL, HUGE_VAL).max().item<double>();
  }

  absl::Status CheckRepeats() {
    const HeldState held(subject_.module);
    const std::string drawn = Drawn();
    DISTILLERY_ASSIGN_OR_RETURN(const at::Tensor again, Ask(pictures_));
    if (std::memcmp(again.data_ptr(), together_.data_ptr(), again.nbytes()) == 0) {
      return absl::OkStatus();
    }
    std::string why = "it keeps state, or computes in no fixed order";
    if (Drawn() != drawn) {
      why =
          "it draws random numbers, as dropout does that is left on (F.dropout without "
          "training=self.training, or a model that was traced before net.eval())";
    } else if (const std::string changed = HeldState(subject_.module).ChangedSince(held);
               !changed.empty()) {
      why = absl::StrCat("it keeps state, in its attribute ", changed);
    }
    return absl::InvalidArgumentError(absl::StrFormat(
        "two calls with the same pictures get answers that differ by up to %.2g; %s%s",
        Difference(again, together_), why, kPure));
  }

  // Asks for some of the rows in that order, which must be answered as they were among all.
  absl::Status CheckRowsStandAlone(const std::vector<int64_t>& rows) const {
    const at::Tensor indexes = torch::tensor(rows, at::kLong);
    const absl::StatusOr<at::Tensor> answers = Ask(pictures_.index_select(0, indexes));
    if (absl::IsResourceExhausted(answers.status())) return answers.status();
    if (!answers.ok()) {
      const bool training = absl::StrContains(answers.status().message(), "when training");
      return absl::InvalidArgumentError(absl::StrCat(
          "it answers ", kRows, " rows, but not ", rows.size(), " (", answers.status().message(),
          ")",
          training
              ? ": BatchNorm computes means of its batch, without running statistics or because "
                "the model was traced or saved before net.eval()"
              : ": it must take any number of rows"));
    }
    const at::Tensor expected = together_.index_select(0, indexes);
    const double largest = expected.nan_to_num(0, 0, 0).abs().max().item<double>();
    const double difference = Difference(*answers, expected);
    if (difference <= subject_.batch_tolerance * std::max(largest, 1e-6)) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrFormat("it depends on its batch: pictures get answers that differ by up to %.2g "
                        "with other pictures "
                        "beside them. That does a softmax over dimension 0, BatchNorm without "
                        "running statistics or "
                        "in training mode (traced before net.eval()), and dynamic quantisation%s",
                        difference, kPure));
  }

  absl::Status CheckFinite() const {
    if (together_.isfinite().all(1).any().item<bool>()) return absl::OkStatus();
    const at::Tensor bad = together_.masked_select(together_.isfinite().logical_not());
    return absl::InternalError(absl::StrCat("it answered with ", bad[0].item<float>(),
                                            " for each picture that it was asked"));
  }

  // Undefined if the model does not take them.
  at::Tensor Overdriven() const {
    constexpr double kFar = 1000;
    const at::Tensor signs =
        torch::tensor({kFar, -kFar, kFar, -kFar}, at::kFloat).view({kRows, 1, 1, 1});
    const absl::StatusOr<at::Tensor> far = Ask(pictures_ * signs);
    return far.ok() ? far->nan_to_num(HUGE_VAL, HUGE_VAL) : at::Tensor();
  }

  std::string Drawn() const {
    std::string drawn = GeneratorState(at::Device(at::kCPU));
    if (!subject_.device.is_cpu()) drawn += GeneratorState(subject_.device);
    return drawn;
  }

  const ProbeSubject& subject_;
  const ModelCard& card_;
  // Normalised, on the CPU.
  const at::Tensor pictures_;
  // Answers to all of them in one batch.
  at::Tensor together_;
};

// What a CPU lacks for a type is said as: "addmm_impl_cpu_" not implemented for 'Half'.
bool SaysTypeIsMissing(const absl::Status& status) {
  return absl::StrContains(status.message(), "not implemented for") ||
         absl::StrContains(status.message(), "could not create a primitive");
}

}  // namespace

absl::Status ProbeModel(const ProbeSubject& subject, const ModelCard& card) {
  TurnOffProfiling();
  return CatchTorchErrors([&] {
    const c10::InferenceMode inference;
    return Probe(subject, card).Run();
  });
}

absl::Status ProbeModule(torch::jit::Module& module, const ProbeOptions& options, ModelCard* card) {
  std::vector<at::ScalarType> held = FloatTypesOf(module);
  std::vector<std::string> candidates;
  if (options.precision.has_value()) {
    candidates = {NameOf(*options.precision)};
    held.push_back(*options.precision);
  } else if (!card->input_type.empty()) {
    candidates = {card->input_type};
    held.push_back(ElementTypeOf(card->input_type));
  } else {
    for (const at::ScalarType type : held) candidates.push_back(NameOf(type));
    if (std::count(candidates.begin(), candidates.end(), "float32") == 0) {
      candidates.push_back("float32");
    }
  }
  const auto holds = [&](at::ScalarType type) {
    return std::find(held.begin(), held.end(), type) != held.end();
  };
  ModelCard asked = *card;
  ProbeSubject subject;
  subject.device = options.device;
  subject.module = &module;
  subject.untrained = options.untrained;
  subject.batch_tolerance = holds(at::kBFloat16) ? 5e-2 : holds(at::kHalf) ? 2e-2 : 1e-3;
  subject.sum_tolerance = holds(at::kBFloat16) || holds(at::kHalf) ? 2e-2 : 1e-3;
  subject.call = [&](const at::Tensor& pictures) { return CallModel(module, asked, pictures); };
  if (candidates.size() > 1) {
    const auto takes = [&](const std::string& type) {
      asked.input_type = type;
      const absl::Status tried = CatchTorchErrors([&] {
        const c10::InferenceMode inference;
        const ImageShape& shape = card->input_shape;
        (void)subject.call(torch::zeros({1, shape.channels, shape.height, shape.width},
                                        at::TensorOptions(options.device)));
        return absl::OkStatus();
      });
      return tried.ok();
    };
    // float32, as pixels are, before all others: a model that casts them itself keeps its card, and
    // the teacher digest made of it.
    const auto float32 = std::find(candidates.begin(), candidates.end(), "float32");
    const auto found =
        takes("float32") ? float32 : std::find_if(candidates.begin(), candidates.end(), takes);
    if (found != candidates.end()) candidates = {*found};
  }
  asked.input_type = candidates.front();
  const absl::Status probed = ProbeModel(subject, asked);
  if (!probed.ok() && asked.input_type != "float32" && SaysTypeIsMissing(probed)) {
    return absl::InvalidArgumentError(
        absl::StrCat("it computes in ", asked.input_type, ", which LibTorch ", TORCH_VERSION,
                     " cannot on ", options.device.str(), " (", probed.message(),
                     "): serve it with teacher_service "
                     "--precision float32, or on a GPU, or save it in float32 (net.float())"));
  }
  if (absl::IsInvalidArgument(probed) && options.precision.has_value() &&
      module.parameters().size() == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(probed.message(),
                     " (a frozen model keeps its weights, constants of its code, in "
                     "the type that they were frozen in: without --precision it is computed so)"));
  }
  DISTILLERY_RETURN_IF_ERROR(probed);
  if (!options.precision.has_value() && card->input_type.empty() && asked.input_type != "float32") {
    card->input_type = asked.input_type;
  }
  return absl::OkStatus();
}

}  // namespace distillery
