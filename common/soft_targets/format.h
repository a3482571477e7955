// What a row of soft targets holds and how it is stored: what both ends of a stream agree on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace distillery {

// kNone: no soft targets at all.
enum class Representation { kLogits, kProbabilities, kNone };
enum class Encoding { kFloat32, kFloat16, kInt8, kTopK };

// "float32", "float16", "int8", "top_k".
const std::vector<std::string>& EncodingNames();
std::string EncodingName(Encoding encoding);
// INVALID_ARGUMENT with the nearest name.
absl::StatusOr<Encoding> ParseEncoding(absl::string_view name);

// Bytes of each tensor of encoded rows; 0: the tensor is absent.
struct EncodedSizes {
  int64_t values = 0;
  int64_t row_scales = 0;
  int64_t class_indexes = 0;
  int64_t tail_mass = 0;

  int64_t total() const { return values + row_scales + class_indexes + tail_mass; }
};

struct SoftTargetFormat {
  // z/T is a float32 division.
  double temperature = 1;
  Representation representation = Representation::kLogits;
  Encoding encoding = Encoding::kFloat32;
  // With kTopK: classes per row. Else 0.
  int64_t top_k = 0;

  // INVALID_ARGUMENT unless the temperature is finite and > 0, also as float32, and top_k is 1 to
  // `classes` with kTopK and 0 without.
  absl::Status Validate(int64_t classes) const;
  // REQUIRES: a valid format, and a product that fits.
  EncodedSizes SizesOf(int64_t rows, int64_t classes) const;
};

// 2, or 4 where the last class does not fit.
inline int64_t ClassIndexBytes(int64_t classes) { return classes < 32768 ? 2 : 4; }

}  // namespace distillery
