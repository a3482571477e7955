#include "teacher_service/teachers/tensor_encoding.h"

#include <torch/types.h>

#include <iterator>
#include <limits>
#include <tuple>

namespace distillery {
namespace {

// A quotient by a number is made by its reciprocal on CUDA, one by a tensor is exact.
at::Tensor Divide(const at::Tensor& values, double divisor) {
  return values / at::full({1}, divisor, values.options());
}

// scaled = z/T [rows, classes]
EncodedTensors EncodeTopK(const at::Tensor& scaled, const SoftTargetFormat& format) {
  // Stable: topk promises no order of equal ones.
  const auto [sorted, classes] = at::sort(scaled, /*stable=*/true, /*dim=*/1, /*descending=*/true);
  const at::Tensor indexes = classes.narrow(1, 0, format.top_k);
  const at::Tensor shifted = scaled.to(at::kDouble) - sorted.narrow(1, 0, 1).to(at::kDouble);
  const at::Tensor exponentials = shifted.exp();
  const at::Tensor top = exponentials.gather(1, indexes);
  // Added up by themselves: 1 - sum would leave nothing of a small tail.
  const at::Tensor others = exponentials.scatter(1, indexes, 0.0).sum(1, /*keepdim=*/true);
  const at::Tensor sum = top.sum(1, /*keepdim=*/true) + others;
  EncodedTensors encoded;
  encoded.values = (top / sum).to(at::kFloat).to(at::kHalf);
  encoded.class_indexes =
      indexes.to(ClassIndexBytes(scaled.size(1)) == 2 ? at::kShort : at::kInt).contiguous();
  encoded.tail_mass = (others / sum).squeeze(1).to(at::kFloat).to(at::kHalf);
  return encoded;
}

EncodedTensors EncodeInt8(const at::Tensor& values, const SoftTargetFormat& /*format*/) {
  EncodedTensors encoded;
  const at::Tensor scale = Divide(values.abs().amax({1}, /*keepdim=*/true), 127);
  const at::Tensor rounded = (values / scale).round().clamp(-127, 127);
  encoded.values = at::where(scale.gt(0), rounded, at::zeros_like(rounded)).to(at::kChar);
  encoded.row_scales = scale.squeeze(1).contiguous();
  return encoded;
}

EncodedTensors EncodeFloat32(const at::Tensor& values, const SoftTargetFormat& /*format*/) {
  EncodedTensors encoded;
  encoded.values = values;
  return encoded;
}

EncodedTensors EncodeFloat16(const at::Tensor& values, const SoftTargetFormat& /*format*/) {
  EncodedTensors encoded;
  encoded.values = ToHalf(values);
  return encoded;
}

// z/T, or softmax(z/T), [rows, classes], encoded; in the order of Encoding.
using Encode = EncodedTensors (*)(const at::Tensor& values, const SoftTargetFormat& format);
constexpr Encode kEncoders[] = {&EncodeFloat32, &EncodeFloat16, &EncodeInt8, &EncodeTopK};
static_assert(std::size(kEncoders) == kEncodingCount);

}  // namespace

at::Tensor ToHalf(const at::Tensor& values) {
  constexpr double kLargest = 65504;
  return at::where(values.isinf(), values, values.clamp(-kLargest, kLargest)).to(at::kHalf);
}

EncodedTensors EncodeTensors(const at::Tensor& logits, const SoftTargetFormat& format,
                             AnswerKind kind) {
  at::Tensor values = logits.flatten(0, -2);
  if (format.temperature != 1) values = Divide(values, format.temperature);
  if (format.representation == Representation::kProbabilities && !SpecOf(format.encoding).top_k) {
    const at::Tensor wide = values.to(at::kDouble);
    values =
        (kind == AnswerKind::kMultilabel ? at::sigmoid(wide) : at::softmax(wide, 1)).to(at::kFloat);
  }
  return kEncoders[static_cast<int>(format.encoding)](values, format);
}

}  // namespace distillery
