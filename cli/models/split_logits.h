// What a model says of the samples of a split, with what they are.
#pragma once

#include <cstdint>
#include <vector>

namespace distillery {

struct SplitLogits {
  int64_t class_count = 0;
  // [samples, class_count], at T = 1.
  std::vector<float> logits;
  // [samples]
  std::vector<int32_t> labels;

  int64_t size() const { return static_cast<int64_t>(labels.size()); }
  // REQUIRES: 0 <= sample < size().
  const float* Row(int64_t sample) const { return &logits[sample * class_count]; }
};

// The class of the largest logit of each sample; of equal ones the lowest.
std::vector<int32_t> Choices(const SplitLogits& logits);
// Samples whose choice is not `wanted`, which is as long as `choices`.
int64_t CountErrors(const std::vector<int32_t>& choices, const std::vector<int32_t>& wanted);

}  // namespace distillery
