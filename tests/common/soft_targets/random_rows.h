// Rows of logits for tests: seeded, and the same everywhere.
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "common/base/philox.h"

namespace distillery {

// Uniform in +-magnitude, [rows, classes].
inline std::vector<float> RandomLogits(int64_t rows, int64_t classes, float magnitude,
                                       uint64_t number = 0) {
  RandomStream random(/*seed=*/7, "logits", static_cast<uint64_t>(classes), number);
  std::vector<float> logits(static_cast<size_t>(rows * classes));
  for (float& logit : logits) logit = (random.Uniform() * 2 - 1) * magnitude;
  return logits;
}

template <typename T>
std::vector<T> Elements(const std::string& bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

}  // namespace distillery
