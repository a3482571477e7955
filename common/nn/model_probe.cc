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
#include "common/nn/model_call.h"
#include "common/nn/normaliser.h"
#include "common/nn/numerics.h"
#include "common/nn/output_values.h"

namespace distillery {
namespace {

constexpr int64_t kRows = 4;

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

// Four unlike rows of an input, as a model takes it once it is normalised, or as pixels in 0..1.
at::Tensor UnlikeRows(const InputSpec& input) {
  if (input.is_picture()) return Pictures({input.shape[0], input.shape[1], input.shape[2]});
  RandomStream random(/*seed=*/1, "model probe " + input.name);
  at::Tensor rows = torch::empty(BatchShape(input, kRows), at::TensorOptions(at::kFloat));
  auto* const values = rows.data_ptr<float>();
  for (int64_t i = 0; i < rows.numel(); ++i) values[i] = random.Uniform();
  // Mean 0 and deviation 1.
  if (ScalarTypeOf(input) == at::kFloat) return (rows - 0.5) * std::sqrt(12.0);
  if (ScalarTypeOf(input) == at::kByte) return (rows * 256).floor().to(at::kByte);
  // Of other whole numbers, as masks are, 0 and 1, and never none.
  const int64_t below = input.vocabulary > 0 ? input.vocabulary : 2;
  at::Tensor whole = (rows.to(at::kDouble) * static_cast<double>(below)).floor().to(at::kLong);
  whole = whole.clamp_max(below - 1);
  if (input.vocabulary == 0) whole.view({kRows, -1}).select(1, 0).fill_(1);
  return whole;
}

// change(input) of each.
template <typename Change>
std::vector<at::Tensor> Each(const std::vector<at::Tensor>& inputs, const Change& change) {
  std::vector<at::Tensor> changed;
  for (const at::Tensor& input : inputs) changed.push_back(change(input));
  return changed;
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
      : subject_(subject),
        card_(card),
        noun_(card.samples.is_picture() ? "picture" : "sample"),
        inputs_(ProbeInputs(card)) {}

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
          Pure()));
    }
    DISTILLERY_RETURN_IF_ERROR(CheckFinite());
    OutputQuestion question;
    // Of each position by itself.
    question.rows = together_.flatten(0, -2);
    question.tolerance = subject_.sum_tolerance;
    question.untrained = subject_.untrained;
    question.overdriven = [this] { return Overdriven(); };
    return CheckOutputValues(question, card_);
  }

 private:
  std::string Pure() const {
    return absl::StrCat(": its answer for a ", noun_, " must depend on that ", noun_, " alone");
  }

  // float32 [rows, positions..., classes] on the CPU.
  absl::StatusOr<at::Tensor> Ask(const std::vector<at::Tensor>& inputs) const {
    at::Tensor output;
    const absl::Status asked = CatchTorchErrors([&] {
      const auto move = [this](const at::Tensor& input) { return input.to(subject_.device); };
      output = subject_.call(Each(inputs, move)).to(at::kCPU).contiguous();
      return absl::OkStatus();
    });
    if (absl::IsResourceExhausted(asked)) return asked;
    if (!asked.ok()) return absl::InvalidArgumentError(std::string(asked.message()));
    const int64_t rows = inputs.front().size(0);
    const AnswerShape answer = card_.answer_shape();
    std::vector<int64_t> sizes = answer.SizesFor(rows);
    sizes.push_back(answer.classes);
    if (output.sizes() == at::IntArrayRef(sizes)) return output;
    std::vector<int64_t> classes_first = sizes;
    std::rotate(classes_first.begin() + 1, classes_first.end() - 1, classes_first.end());
    const bool turned = sizes.size() > 2 && output.sizes() == at::IntArrayRef(classes_first);
    return absl::InvalidArgumentError(absl::StrCat(
        "its output for ", rows, rows == 1 ? " row" : " rows", " has the shape [",
        absl::StrJoin(output.sizes(), ", "), "], the card's class_names ",
        sizes.size() > 2 ? "and positions " : "", "make it [", absl::StrJoin(sizes, ", "), "]",
        turned ? ": put the classes last, with movedim(1, -1)" : ""));
  }

  absl::StatusOr<at::Tensor> First() const {
    absl::StatusOr<at::Tensor> answers = Ask(inputs_);
    if (answers.ok() || absl::IsResourceExhausted(answers.status())) return answers;
    const auto first = [](const at::Tensor& input) { return input.narrow(0, 0, 1); };
    if (!Ask(Each(inputs_, first)).ok()) return answers;
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
    DISTILLERY_ASSIGN_OR_RETURN(const at::Tensor again, Ask(inputs_));
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
    return absl::InvalidArgumentError(
        absl::StrFormat("two calls with the same %ss get answers that differ by up to %.2g; %s%s",
                        noun_, Difference(again, together_), why, Pure()));
  }

  // Asks for some of the rows in that order, which must be answered as they were among all.
  absl::Status CheckRowsStandAlone(const std::vector<int64_t>& rows) const {
    const at::Tensor indexes = torch::tensor(rows, at::kLong);
    const absl::StatusOr<at::Tensor> answers =
        Ask(Each(inputs_, [&](const at::Tensor& input) { return input.index_select(0, indexes); }));
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
        absl::StrFormat("it depends on its batch: %ss get answers that differ by up to %.2g "
                        "with other %ss "
                        "beside them. That does a softmax over dimension 0, BatchNorm without "
                        "running statistics or "
                        "in training mode (traced before net.eval()), and dynamic quantisation%s",
                        noun_, difference, noun_, Pure()));
  }

  absl::Status CheckFinite() const {
    if (together_.isfinite().flatten(1).all(1).any().item<bool>()) return absl::OkStatus();
    const at::Tensor bad = together_.masked_select(together_.isfinite().logical_not());
    return absl::InternalError(absl::StrCat("it answered with ", bad[0].item<float>(), " for each ",
                                            noun_, " that it was asked"));
  }

  // Undefined if the model does not take them.
  at::Tensor Overdriven() const {
    constexpr double kFar = 1000;
    const at::Tensor signs = torch::tensor({kFar, -kFar, kFar, -kFar}, at::kFloat);
    bool floats = false;
    const absl::StatusOr<at::Tensor> far = Ask(Each(inputs_, [&](const at::Tensor& input) {
      if (!input.is_floating_point()) return input;
      floats = true;
      std::vector<int64_t> view(static_cast<size_t>(input.dim()), 1);
      view[0] = kRows;
      return input * signs.view(view);
    }));
    return floats && far.ok() ? far->nan_to_num(HUGE_VAL, HUGE_VAL) : at::Tensor();
  }

  std::string Drawn() const {
    std::string drawn = GeneratorState(at::Device(at::kCPU));
    if (!subject_.device.is_cpu()) drawn += GeneratorState(subject_.device);
    return drawn;
  }

  const ProbeSubject& subject_;
  const ModelCard& card_;
  // What a sample is called in messages.
  const char* const noun_;
  // Normalised, on the CPU.
  const std::vector<at::Tensor> inputs_;
  // Answers to all of them in one batch.
  at::Tensor together_;
};

// What a CPU lacks for a type is said as: "addmm_impl_cpu_" not implemented for 'Half'.
bool SaysTypeIsMissing(const absl::Status& status) {
  return absl::StrContains(status.message(), "not implemented for") ||
         absl::StrContains(status.message(), "could not create a primitive");
}

}  // namespace

std::vector<at::Tensor> ProbeInputs(const ModelCard& card) {
  std::vector<at::Tensor> inputs;
  for (const InputSpec& input : card.samples.inputs) inputs.push_back(UnlikeRows(input));
  // Floats other than pixels are normalised already.
  std::vector<at::Tensor> normalised = Normaliser(card, at::Device(at::kCPU))(inputs);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!card.samples.inputs[i].is_picture()) normalised[i] = inputs[i];
  }
  return normalised;
}

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
  subject.call = [&](const std::vector<at::Tensor>& inputs) {
    return CallModel(module, asked, inputs);
  };
  if (candidates.size() > 1) {
    const auto takes = [&](const std::string& type) {
      asked.input_type = type;
      const absl::Status tried = CatchTorchErrors([&] {
        const c10::InferenceMode inference;
        std::vector<at::Tensor> inputs;
        for (const InputSpec& input : card->samples.inputs) {
          inputs.push_back(torch::zeros(
              BatchShape(input, 1), at::TensorOptions(options.device).dtype(ScalarTypeOf(input))));
        }
        (void)subject.call(inputs);
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
