#include "common/nn/model_call.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/nn/int8_weights.h"

namespace distillery {
namespace {

bool MayBeLeftOut(const c10::Argument& argument) {
  return argument.default_value().has_value() ||
         argument.type()->kind() == c10::TypeKind::OptionalType;
}

// None for each argument behind the inputs that has no default of its own.
torch::jit::Kwargs NoneForTheRest(const torch::jit::Method& forward, size_t inputs) {
  torch::jit::Kwargs rest;
  const auto& arguments = forward.function().getSchema().arguments();
  for (size_t i = 1 + inputs; i < arguments.size(); ++i) {
    if (!arguments[i].default_value().has_value()) rest[arguments[i].name()] = c10::IValue();
  }
  return rest;
}

// "[4, 10]", or the kind of what is no tensor.
std::string Brief(const c10::IValue& value) {
  if (!value.isTensor()) return absl::StrCat("(", value.tagKind(), ")");
  return absl::StrCat("[", absl::StrJoin(value.toTensor().sizes(), ", "), "]");
}

// What a value that holds others holds, by the steps that lead there.
struct Parts {
  // "a tuple"
  std::string kind;
  std::vector<std::pair<OutputStep, c10::IValue>> parts;
};

Parts PartsOf(const c10::IValue& value) {
  Parts result;
  if (value.isTuple()) {
    const auto& elements = value.toTupleRef().elements();
    const auto type = value.type()->cast<c10::TupleType>();
    const auto schema = type == nullptr ? nullptr : type->schema();
    result.kind = schema == nullptr ? "a tuple" : "a named tuple";
    for (size_t i = 0; i < elements.size(); ++i) {
      OutputStep step = static_cast<int64_t>(i);
      if (schema != nullptr) step = schema->arguments()[i].name();
      result.parts.emplace_back(std::move(step), elements[i]);
    }
  } else if (value.isList()) {
    result.kind = "a list";
    const c10::List<c10::IValue> list = value.toList();
    for (size_t i = 0; i < list.size(); ++i) {
      result.parts.emplace_back(static_cast<int64_t>(i), list.get(i));
    }
  } else if (value.isGenericDict()) {
    result.kind = "a dict";
    for (const auto& entry : value.toGenericDict()) {
      if (entry.key().isString()) {
        result.parts.emplace_back(entry.key().toStringRef(), entry.value());
      } else if (entry.key().isInt()) {
        result.parts.emplace_back(entry.key().toInt(), entry.value());
      }
    }
  } else {
    result.kind = absl::StrCat("of the kind ", value.tagKind());
  }
  return result;
}

std::string ToText(const OutputStep& step) {
  if (const auto* const name = std::get_if<std::string>(&step))
    return absl::StrCat("\"", *name, "\"");
  return absl::StrCat(std::get<int64_t>(step));
}

// "a tuple of 0: [4, 10], 1: [4, 64]"
std::string Describe(const Parts& value) {
  std::vector<std::string> texts;
  for (const auto& [step, part] : value.parts) {
    texts.push_back(absl::StrCat(ToText(step), ": ", Brief(part)));
  }
  return texts.empty() ? value.kind : absl::StrCat(value.kind, " of ", absl::StrJoin(texts, ", "));
}

// Null if there is none. An index counts in a named tuple too.
const c10::IValue* Find(const Parts& value, const OutputStep& step) {
  for (const auto& [name, part] : value.parts) {
    if (name == step) return &part;
  }
  const auto* const index = std::get_if<int64_t>(&step);
  const bool counted = index != nullptr && value.kind == "a named tuple" && *index >= 0 &&
                       *index < static_cast<int64_t>(value.parts.size());
  return counted ? &value.parts[static_cast<size_t>(*index)].second : nullptr;
}

}  // namespace

absl::Status CheckForward(const torch::jit::Module& module, size_t inputs) {
  const auto forward = module.find_method("forward");
  if (!forward.has_value()) return absl::InvalidArgumentError("it has no forward");
  // The first is the module itself.
  const auto& arguments = forward->function().getSchema().arguments();
  std::vector<std::string> needed;
  for (size_t i = 1; i < arguments.size(); ++i) {
    if (i <= inputs || !MayBeLeftOut(arguments[i])) needed.push_back(arguments[i].name());
  }
  if (needed.size() != inputs) {
    return absl::InvalidArgumentError(
        absl::StrCat("its forward takes ", needed.size(), " inputs, not ",
                     inputs == 1 ? "one" : absl::StrCat("the ", inputs, " of its card"),
                     needed.empty() ? "" : absl::StrCat(" (", absl::StrJoin(needed, ", "), ")"),
                     ": give those behind ", inputs == 1 ? "the first" : "these", " a default"));
  }
  for (size_t i = 1; i <= inputs; ++i) {
    if (c10::TensorType::get()->isSubtypeOf(*arguments[i].type())) continue;
    return absl::InvalidArgumentError(absl::StrCat("its forward takes a ",
                                                   arguments[i].type()->annotation_str(), " as ",
                                                   arguments[i].name(), ", not one tensor"));
  }
  return absl::OkStatus();
}

absl::StatusOr<at::Tensor> SelectOutput(const c10::IValue& answer, const ModelCard& card) {
  c10::IValue value = answer;
  for (const OutputStep& step : card.output_key) {
    if (value.isTensor()) {
      return absl::InvalidArgumentError(absl::StrCat("the card's output_key names ", ToText(step),
                                                     " of one tensor, ", Brief(value),
                                                     ": leave that out of the key"));
    }
    const Parts parts = PartsOf(value);
    const c10::IValue* const found = Find(parts, step);
    if (found == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("the card's output_key names ", ToText(step),
                                                     ", but its output is ", Describe(parts)));
    }
    value = c10::IValue(*found);
  }
  if (value.isTensor() && value.toTensor().defined()) return value.toTensor();
  const Parts parts = PartsOf(value);
  const std::string example = parts.parts.empty() ? "0" : ToText(parts.parts.front().first);
  return absl::InvalidArgumentError(
      absl::StrCat("its output is not one tensor but ", Describe(parts),
                   ": say in the card which one counts, such as \"output_key\": ", example));
}

at::Tensor CallModel(const torch::jit::Module& module, const ModelCard& card,
                     const std::vector<at::Tensor>& inputs) {
  const torch::jit::Method forward = module.get_method("forward");
  const std::vector<at::Tensor> cast = CastInputs(inputs, card);
  const c10::IValue answer = forward(std::vector<c10::IValue>(cast.begin(), cast.end()),
                                     NoneForTheRest(forward, inputs.size()));
  if (answer.isTensor() && card.output_key.empty()) return answer.toTensor().to(at::kFloat);
  const absl::StatusOr<at::Tensor> output = SelectOutput(answer, card);
  TORCH_CHECK(output.ok(), std::string(output.status().message()));
  return output->to(at::kFloat);
}

std::vector<at::Tensor> CastInputs(const std::vector<at::Tensor>& inputs, const ModelCard& card) {
  std::vector<at::Tensor> cast;
  for (const at::Tensor& input : inputs) {
    cast.push_back(input.is_floating_point() ? input.to(ElementTypeOf(card.input_type)) : input);
  }
  return cast;
}

at::Tensor LogitsOf(const at::Tensor& output, const ModelCard& card) {
  if (!card.outputs_probabilities) return output;
  // log p are logits of the same softmax; the floor keeps a class of probability 0 finite. Rounding
  // makes a probability a little less than 0 at most.
  constexpr double kSmallest = 1e-30;
  constexpr double kClearlyNegative = -1e-3;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const at::Tensor logarithm =
      output.masked_fill(output.lt(kClearlyNegative), nan).clamp_min(kSmallest).log();
  if (card.samples.answer.kind != AnswerKind::kMultilabel) return logarithm;
  const at::Tensor against = 1 - output;
  return logarithm -
         against.masked_fill(against.lt(kClearlyNegative), nan).clamp_min(kSmallest).log();
}

at::ScalarType ElementTypeOf(const std::string& name) {
  if (name == "float16") return at::kHalf;
  if (name == "bfloat16") return at::kBFloat16;
  return name == "float64" ? at::kDouble : at::kFloat;
}

std::string NameOf(at::ScalarType type) {
  switch (type) {
    case at::kHalf:
      return "float16";
    case at::kBFloat16:
      return "bfloat16";
    case at::kDouble:
      return "float64";
    default:
      return "float32";
  }
}

std::vector<at::ScalarType> FloatTypesOf(const torch::jit::Module& module) {
  std::vector<at::ScalarType> types;
  const auto add = [&](const at::Tensor& tensor) {
    if (!tensor.defined() || !tensor.is_floating_point()) return;
    const at::ScalarType type = tensor.scalar_type();
    if (std::find(types.begin(), types.end(), type) == types.end()) types.push_back(type);
  };
  for (const at::Tensor& parameter : module.parameters()) add(parameter);
  for (const at::Tensor& buffer : module.buffers()) add(buffer);
  // Numbers that tracing made tensors of say nothing.
  for (const at::Tensor& constant : ConstantTensors(module)) {
    if (constant.dim() > 0) add(constant);
  }
  return types;
}

void CastFloats(torch::jit::Module& module, at::ScalarType type) {
  const auto cast = [&](at::Tensor tensor) {
    if (tensor.is_floating_point()) tensor.set_data(tensor.to(type));
  };
  for (const at::Tensor& parameter : module.parameters()) cast(parameter);
  for (const at::Tensor& buffer : module.buffers()) cast(buffer);
}

}  // namespace distillery
