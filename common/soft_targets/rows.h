// Decoded rows of soft targets, as a student computes with them.
#pragma once

#include <cstdint>
#include <vector>

namespace distillery {

// Dense or top-k; what a format does not have is empty.
struct SoftTargetRows {
  // Samples.
  int64_t row_count = 0;
  // Dense: z/T, softmax(z/T) or of labels sigmoid(z/T) [rows, positions..., classes].
  std::vector<float> values;
  // Top-k: probabilities [rows, positions..., k] with their classes, and the mass of all other
  // classes [rows, positions...]. A position's sum is 1 up to the rounding of float16.
  std::vector<float> probabilities;
  std::vector<int32_t> class_indexes;
  std::vector<float> tail_mass;

  // Keeps the first `rows` rows. REQUIRES: 0 <= rows <= row_count.
  void Truncate(int64_t rows) {
    if (row_count == 0) return;
    const auto cut = [&](auto& column) {
      column.resize(column.size() / static_cast<size_t>(row_count) * static_cast<size_t>(rows));
    };
    cut(values);
    cut(probabilities);
    cut(class_indexes);
    cut(tail_mass);
    row_count = rows;
  }
};

}  // namespace distillery
