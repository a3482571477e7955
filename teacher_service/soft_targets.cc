#include "teacher_service/soft_targets.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "absl/strings/str_cat.h"

namespace distillery {
namespace {

// In place: z/T -> softmax(z/T). Shifted by the maximum, so nothing overflows.
void Softmax(float* row, int64_t classes) {
  const float largest = *std::max_element(row, row + classes);
  double sum = 0;
  for (int64_t i = 0; i < classes; ++i) sum += std::exp(static_cast<double>(row[i]) - largest);
  for (int64_t i = 0; i < classes; ++i) {
    row[i] = static_cast<float>(std::exp(static_cast<double>(row[i]) - largest) / sum);
  }
}

}  // namespace

absl::Status SoftTargetFormat::Validate() const {
  // As the float32 that logits are divided by, it must be neither 0 nor infinity.
  if (temperature >= std::numeric_limits<float>::min() &&
      temperature <= std::numeric_limits<float>::max()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("temperature must be finite and > 0, got ", temperature));
}

std::string EncodeSoftTargets(const float* logits, int64_t rows, int64_t classes,
                              const SoftTargetFormat& format) {
  const auto temperature = static_cast<float>(format.temperature);
  std::string bytes(static_cast<size_t>(rows * classes * format.element_bytes()), '\0');
  std::vector<float> row(static_cast<size_t>(classes));
  char* output = bytes.data();
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < classes; ++i) row[i] = logits[r * classes + i] / temperature;
    if (format.representation == Representation::kProbabilities) Softmax(row.data(), classes);
    if (format.encoding == Encoding::kFloat32) {
      std::memcpy(output, row.data(), row.size() * sizeof(float));
      output += row.size() * sizeof(float);
      continue;
    }
    for (const float value : row) {
      const uint16_t half = FloatToHalf(value);
      std::memcpy(output, &half, sizeof(half));
      output += sizeof(half);
    }
  }
  return bytes;
}

uint16_t FloatToHalf(float value) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000U);
  const uint32_t magnitude = bits & 0x7FFFFFFFU;
  if (magnitude >= 0x7F800000U) {  // infinity or NaN
    return static_cast<uint16_t>(sign | 0x7C00U | (magnitude > 0x7F800000U ? 0x200U : 0U));
  }
  if (magnitude >= 0x477FF000U) return static_cast<uint16_t>(sign | 0x7C00U);  // rounds past 65504
  uint32_t mantissa = magnitude & 0x7FFFFFU;
  const int exponent = static_cast<int>(magnitude >> 23) - 112;
  int shift = 13;
  uint32_t base = 0;
  if (exponent <= 0) {  // subnormal half
    if (exponent < -10) return sign;
    mantissa |= 0x800000U;
    shift = 14 - exponent;
  } else {
    base = static_cast<uint32_t>(exponent) << 10;
  }
  uint32_t half = base + (mantissa >> shift);
  const uint32_t rest = mantissa & ((1U << shift) - 1);
  const uint32_t middle = 1U << (shift - 1);
  if (rest > middle || (rest == middle && (half & 1U) != 0)) ++half;
  return static_cast<uint16_t>(sign | half);
}

float HalfToFloat(uint16_t half) {
  const uint32_t sign = (half & 0x8000U) << 16;
  const uint32_t exponent = (half >> 10) & 0x1FU;
  const uint32_t mantissa = half & 0x3FFU;
  uint32_t bits = 0;
  if (exponent == 31) {
    bits = sign | 0x7F800000U | (mantissa << 13);
  } else if (exponent != 0) {
    bits = sign | ((exponent + 112) << 23) | (mantissa << 13);
  } else {
    const float value = static_cast<float>(mantissa) * 0x1.0p-24F;
    return sign != 0 ? -value : value;
  }
  float value = 0;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

}  // namespace distillery
