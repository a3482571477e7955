// What a row of soft targets holds and how it is stored: what both ends of a stream agree on.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "common/soft_targets/answer_shape.h"
#include "common/soft_targets/encoding.h"

namespace distillery {

// kNone: no soft targets at all.
enum class Representation { kLogits, kProbabilities, kNone };
inline constexpr int kRepresentationCount = static_cast<int>(Representation::kNone) + 1;

struct SoftTargetFormat {
  // z/T is a float32 division.
  double temperature = 1;
  Representation representation = Representation::kLogits;
  Encoding encoding = Encoding::kFloat32;
  // With kTopK: classes per row. Else 0.
  int64_t top_k = 0;

  // INVALID_ARGUMENT unless the temperature is finite and > 0, also as float32, and top_k is 1 to
  // the number of classes with kTopK and 0 without; also for what answers of that kind do not have:
  // labels no largest ones that stand for all, values no probabilities and no temperature but 1.
  absl::Status Validate(const AnswerShape& shape) const;
  // The tensors of rows that are there. REQUIRES: a valid format.
  std::vector<EncodedTensor> Tensors(int64_t rows, const AnswerShape& shape) const;
  // Their bytes. REQUIRES: a valid format, and a product that fits.
  EncodedSizes SizesOf(int64_t rows, const AnswerShape& shape) const;
};

}  // namespace distillery
