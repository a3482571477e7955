#include "cli/models/split_logits.h"

#include <algorithm>

namespace distillery {

std::vector<int32_t> Choices(const SplitLogits& logits) {
  std::vector<int32_t> choices;
  choices.reserve(logits.labels.size());
  for (int64_t sample = 0; sample < logits.size(); ++sample) {
    const float* const row = logits.Row(sample);
    choices.push_back(static_cast<int32_t>(std::max_element(row, row + logits.class_count) - row));
  }
  return choices;
}

int64_t CountErrors(const std::vector<int32_t>& choices, const std::vector<int32_t>& wanted) {
  int64_t errors = 0;
  for (size_t i = 0; i < choices.size(); ++i) errors += choices[i] != wanted[i] ? 1 : 0;
  return errors;
}

}  // namespace distillery
