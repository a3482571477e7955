#include "common/weights/broadcast_encoding.h"

#include <algorithm>
#include <cstring>

#include "common/base/half.h"
#include "common/base/status_macros.h"
#include "common/weights/layout.h"

namespace distillery {
namespace {

// Elements converted at once.
constexpr int64_t kPiece = 256 << 10;

bool IsParameter(const TensorSpec& tensor, const std::vector<std::string>& buffers) {
  return !std::binary_search(buffers.begin(), buffers.end(), tensor.name);
}

// REQUIRES: `layout` is that of `file`, and `tensor` is from it.
absl::string_view TensorBytes(absl::string_view file, const WeightsLayout& layout,
                              const TensorSpec& tensor) {
  return file.substr(static_cast<size_t>(layout.data_start() + tensor.offset),
                     static_cast<size_t>(tensor.byte_count));
}

// The layout in which parameters of type `from` are of type `to`.
absl::StatusOr<WeightsLayout> Retyped(const WeightsLayout& layout,
                                      const std::vector<std::string>& buffers, ElementType from,
                                      ElementType to) {
  std::vector<TensorSpec> tensors = layout.tensors();
  for (TensorSpec& tensor : tensors) {
    if (tensor.type == from && IsParameter(tensor, buffers)) tensor.type = to;
  }
  return WeightsLayout::Create(std::move(tensors));
}

}  // namespace

const std::vector<std::string>& BroadcastEncodingNames() {
  static const auto* const names = new std::vector<std::string>{"float32", "float16"};
  return *names;
}

absl::Status EncodeFloat16(const TensorSource& weights, const std::vector<std::string>& buffers,
                           const std::function<absl::Status(absl::string_view)>& sink) {
  const WeightsLayout& layout = weights.layout();
  DISTILLERY_ASSIGN_OR_RETURN(
      const WeightsLayout encoded,
      Retyped(layout, buffers, ElementType::kFloat32, ElementType::kFloat16));
  DISTILLERY_RETURN_IF_ERROR(sink(encoded.Header()));
  std::vector<float> floats(kPiece);
  std::string halves(2 * kPiece, '\0');
  for (const TensorSpec& tensor : encoded.tensors()) {
    const TensorSpec& source = *layout.Find(tensor.name);
    if (source.type == tensor.type) {
      DISTILLERY_RETURN_IF_ERROR(weights.ForEachPiece(source, sink));
      continue;
    }
    constexpr int64_t kSize = sizeof(float);
    for (int64_t first = 0; first < tensor.element_count; first += kPiece) {
      const int64_t count = std::min(kPiece, tensor.element_count - first);
      DISTILLERY_RETURN_IF_ERROR(weights.Read(source, first * kSize, count * kSize,
                                              reinterpret_cast<char*>(floats.data())));
      FloatsToHalves(floats.data(), count, halves.data());
      DISTILLERY_RETURN_IF_ERROR(
          sink(absl::string_view(halves).substr(0, static_cast<size_t>(2 * count))));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Weights> DecodeFloat16(absl::string_view encoded,
                                      const std::vector<std::string>& buffers) {
  DISTILLERY_ASSIGN_OR_RETURN(const WeightsLayout layout, WeightsLayout::Parse(encoded));
  DISTILLERY_ASSIGN_OR_RETURN(WeightsLayout decoded, Retyped(layout, buffers, ElementType::kFloat16,
                                                             ElementType::kFloat32));
  Weights weights(std::move(decoded));
  for (const TensorSpec& tensor : weights.layout().tensors()) {
    const TensorSpec& source = *layout.Find(tensor.name);
    const absl::string_view bytes = TensorBytes(encoded, layout, source);
    char* const target = weights.Bytes(tensor);
    if (source.type == tensor.type) {
      std::memcpy(target, bytes.data(), bytes.size());
      continue;
    }
    std::vector<float> floats(static_cast<size_t>(std::min(kPiece, tensor.element_count)));
    for (int64_t first = 0; first < tensor.element_count; first += kPiece) {
      const int64_t count = std::min(kPiece, tensor.element_count - first);
      HalvesToFloats(bytes.data() + 2 * first, count, floats.data());
      std::memcpy(target + first * static_cast<int64_t>(sizeof(float)), floats.data(),
                  static_cast<size_t>(count) * sizeof(float));
    }
  }
  return weights;
}

}  // namespace distillery
