// Logits to soft targets as they go over the wire.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace distillery {

enum class Representation { kLogits, kProbabilities };
enum class Encoding { kFloat32, kFloat16 };

struct SoftTargetFormat {
  double temperature = 1;
  Representation representation = Representation::kLogits;
  Encoding encoding = Encoding::kFloat32;

  // INVALID_ARGUMENT unless the temperature is finite and > 0, also as float32.
  absl::Status Validate() const;
  int64_t element_bytes() const { return encoding == Encoding::kFloat16 ? 2 : 4; }
};

// logits [rows, classes] -> z/T (float32 division), or softmax(z/T) with sums in double, in the
// encoding asked for, little-endian, row-major.
std::string EncodeSoftTargets(const float* logits, int64_t rows, int64_t classes,
                              const SoftTargetFormat& format);

// IEEE binary16, rounded to nearest, ties to even; above 65504: infinity.
uint16_t FloatToHalf(float value);
float HalfToFloat(uint16_t half);

}  // namespace distillery
