#include "common/nn/module_weights.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/nn/numerics.h"

namespace distillery {
namespace {

std::optional<ElementType> ToElementType(at::ScalarType type) {
  switch (type) {
    case at::kFloat:
      return ElementType::kFloat32;
    case at::kDouble:
      return ElementType::kFloat64;
    case at::kHalf:
      return ElementType::kFloat16;
    case at::kBFloat16:
      return ElementType::kBFloat16;
    case at::kLong:
      return ElementType::kInt64;
    case at::kInt:
      return ElementType::kInt32;
    case at::kShort:
      return ElementType::kInt16;
    case at::kChar:
      return ElementType::kInt8;
    case at::kByte:
      return ElementType::kUInt8;
    case at::kBool:
      return ElementType::kBool;
    default:
      return std::nullopt;
  }
}

std::vector<NamedTensor> NamedTensors(const torch::jit::Module& module) {
  std::vector<NamedTensor> tensors;
  for (const auto& parameter : module.named_parameters()) {
    tensors.emplace_back(parameter.name, parameter.value);
  }
  for (const auto& buffer : module.named_buffers()) {
    tensors.emplace_back(buffer.name, buffer.value);
  }
  return tensors;
}

absl::StatusOr<WeightsLayout> LayoutOf(const std::vector<NamedTensor>& tensors) {
  std::vector<TensorSpec> specs;
  for (const auto& [name, tensor] : tensors) {
    const std::optional<ElementType> type = ToElementType(tensor.scalar_type());
    if (!type.has_value()) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor \"", name, "\" has a type that safetensors does not know"));
    }
    TensorSpec spec;
    spec.name = name;
    spec.type = *type;
    spec.shape = tensor.sizes().vec();
    specs.push_back(std::move(spec));
  }
  return WeightsLayout::Create(std::move(specs));
}

template <typename T>
void Subtract(absl::string_view start, absl::string_view end, char* output) {
  T a;
  T b;
  for (size_t at = 0; at < start.size(); at += sizeof(T)) {
    std::memcpy(&a, end.data() + at, sizeof(T));
    std::memcpy(&b, start.data() + at, sizeof(T));
    a = static_cast<T>(a - b);
    std::memcpy(output + at, &a, sizeof(T));
  }
}

}  // namespace

absl::StatusOr<Weights> WeightsOf(const torch::jit::Module& module) {
  return WeightsOf(NamedTensors(module));
}

absl::StatusOr<Weights> WeightsOf(const std::vector<NamedTensor>& tensors) {
  DISTILLERY_ASSIGN_OR_RETURN(WeightsLayout layout, LayoutOf(tensors));
  Weights weights(std::move(layout));
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor plain = tensor.detach().cpu().contiguous();
    const TensorSpec* const spec = weights.layout().Find(name);
    std::memcpy(weights.Bytes(*spec), plain.data_ptr(), static_cast<size_t>(spec->byte_count));
  }
  return weights;
}

absl::Status CheckLayout(const torch::jit::Module& module) {
  DISTILLERY_ASSIGN_OR_RETURN(const WeightsLayout layout, LayoutOf(NamedTensors(module)));
  return CheckModelLayout(layout);
}

std::vector<std::string> BufferNames(const torch::jit::Module& module) {
  std::vector<std::string> names;
  for (const auto& buffer : module.named_buffers()) names.push_back(buffer.name);
  for (const auto& parameter : module.named_parameters()) {
    const at::ScalarType type = parameter.value.scalar_type();
    if (!parameter.value.requires_grad() && type != at::kFloat && type != at::kDouble) {
      names.push_back(parameter.name);
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

absl::Status LoadWeights(const Weights& weights, torch::jit::Module& module) {
  return LoadWeights(weights, NamedTensors(module));
}

absl::Status LoadWeights(const Weights& weights, const std::vector<NamedTensor>& tensors) {
  DISTILLERY_ASSIGN_OR_RETURN(const WeightsLayout layout, LayoutOf(tensors));
  DISTILLERY_RETURN_IF_ERROR(CheckSameLayout(layout, weights.layout()));
  return CatchTorchErrors([&] {
    const torch::NoGradGuard no_grad;
    for (const auto& [name, tensor] : tensors) {
      const absl::string_view bytes = weights.Bytes(*weights.layout().Find(name));
      const at::Tensor source = torch::empty(tensor.sizes(), tensor.scalar_type());
      std::memcpy(source.data_ptr(), bytes.data(), bytes.size());
      at::Tensor target = tensor;
      target.copy_(source);
    }
    return absl::OkStatus();
  });
}

Weights Delta(const Weights& start, const Weights& end, const std::vector<std::string>& buffers) {
  Weights delta(end.layout());
  for (const TensorSpec& tensor : end.layout().tensors()) {
    const absl::string_view last = end.Bytes(tensor);
    char* const output = delta.Bytes(tensor);
    const bool buffer = std::binary_search(buffers.begin(), buffers.end(), tensor.name);
    if (!buffer && tensor.type == ElementType::kFloat32) {
      Subtract<float>(start.Bytes(tensor), last, output);
    } else if (!buffer && tensor.type == ElementType::kFloat64) {
      Subtract<double>(start.Bytes(tensor), last, output);
    } else {
      std::memcpy(output, last.data(), last.size());
    }
  }
  return delta;
}

}  // namespace distillery
