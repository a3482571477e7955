#include "common/soft_targets/top_k_encoder.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "common/base/half.h"
#include "common/soft_targets/format.h"

namespace distillery {
namespace {

// Grows with the value, and among equal values with a lower class. A total order, NaN included.
uint64_t SortKey(float value, int64_t index) {
  value += 0.0F;  // -0 equals 0
  int32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  const int32_t ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF);
  return (static_cast<uint64_t>(static_cast<uint32_t>(ordered) ^ 0x80000000U) << 32) |
         ~static_cast<uint32_t>(index);
}

int64_t ClassOf(uint64_t key) { return ~static_cast<uint32_t>(key); }

void StoreHalf(double value, char* output) {
  const uint16_t half = FloatToHalf(static_cast<float>(value));
  std::memcpy(output, &half, sizeof(half));
}

}  // namespace

TopKEncoder::TopKEncoder(int64_t classes, int64_t top_k)
    : classes_(classes),
      top_k_(top_k),
      index_bytes_(ClassIndexBytes(classes)),
      keys_(static_cast<size_t>(classes)),
      top_(static_cast<size_t>(top_k)) {}

void TopKEncoder::Encode(float* row, char* values, char* class_indexes, char* tail_mass) {
  for (int64_t i = 0; i < classes_; ++i) keys_[i] = SortKey(row[i], i);
  std::partial_sort(keys_.begin(), keys_.begin() + top_k_, keys_.end(), std::greater<>());
  const double largest = row[ClassOf(keys_[0])];
  double top_sum = 0;
  for (int64_t i = 0; i < top_k_; ++i) {
    const int64_t index = ClassOf(keys_[i]);
    top_[i] = std::exp(row[index] - largest);
    top_sum += top_[i];
    row[index] = -std::numeric_limits<float>::infinity();  // adds 0 to the others
    const auto stored = static_cast<int32_t>(index);
    std::memcpy(class_indexes + i * index_bytes_, &stored, static_cast<size_t>(index_bytes_));
  }
  double others = 0;
  if (top_k_ < classes_) {
    for (int64_t i = 0; i < classes_; ++i) others += std::exp(row[i] - largest);
  }
  const double sum = top_sum + others;
  for (int64_t i = 0; i < top_k_; ++i) StoreHalf(top_[i] / sum, values + i * 2);
  StoreHalf(others / sum, tail_mass);
}

}  // namespace distillery
