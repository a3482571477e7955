#include "common/soft_targets/top_k.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/half.h"

namespace distillery {
namespace {

// Rounding to float16 moves a sum of probabilities by less than 0.2 %.
constexpr double kSumTolerance = 0.01;

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

// Encodes one row at a time; holds the scratch memory that rows share.
class TopKEncoder {
 public:
  TopKEncoder(int64_t classes, int64_t top_k)
      : classes_(classes),
        top_k_(top_k),
        index_bytes_(ClassIndexBytes(classes)),
        keys_(static_cast<size_t>(classes)),
        top_(static_cast<size_t>(top_k)) {}

  // Reads z/T [classes] from `row` and overwrites it.
  void Encode(float* row, char* values, char* class_indexes, char* tail_mass) {
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

 private:
  const int64_t classes_;
  const int64_t top_k_;
  const int64_t index_bytes_;
  // Value and class in one number, [classes].
  std::vector<uint64_t> keys_;
  // exp(z/T - largest) [top_k]
  std::vector<double> top_;
};

// Appended rows of `rows` from `first` on, a row for each position.
absl::Status CheckTopK(const RowsToDecode& encoded, const SoftTargetRows& rows, int64_t first) {
  const int64_t row_count = encoded.rows;
  const int64_t classes = encoded.classes;
  const int64_t top_k = encoded.top_k;
  // The last row, counted from 1, that each class was seen in.
  std::vector<int64_t> seen(static_cast<size_t>(classes));
  const auto is_probability = [](float value) { return value >= 0 && value <= 1; };
  for (int64_t r = 0; r < row_count; ++r) {
    const float tail = rows.tail_mass[first + r];
    if (!is_probability(tail)) {
      return absl::DataLossError(absl::StrCat(encoded.Name(r), ": the tail's mass is ", tail));
    }
    double sum = tail;
    for (int64_t i = 0; i < top_k; ++i) {
      const int64_t at = (first + r) * top_k + i;
      const int64_t index = rows.class_indexes[at];
      if (index < 0 || index >= classes) {
        return absl::DataLossError(
            absl::StrCat(encoded.Name(r), ": class ", index, " is not one of ", classes));
      }
      if (seen[index] == r + 1) {
        return absl::DataLossError(
            absl::StrCat(encoded.Name(r), ": class ", index, " is there twice"));
      }
      seen[index] = r + 1;
      const float probability = rows.probabilities[at];
      if (!is_probability(probability)) {
        return absl::DataLossError(absl::StrCat(encoded.Name(r), ": the probability of class ",
                                                index, " is ", probability));
      }
      sum += probability;
    }
    if (std::abs(sum - 1) > kSumTolerance) {
      return absl::DataLossError(
          absl::StrCat(encoded.Name(r), ": probabilities and tail sum to ", sum));
    }
  }
  return absl::OkStatus();
}

}  // namespace

void EncodeTopK(const LogitRowsToEncode& rows, const EncodedBuffers& output) {
  const int64_t index_bytes = ClassIndexBytes(rows.classes);
  TopKEncoder encoder(rows.classes, rows.top_k);
  std::vector<float> row(static_cast<size_t>(rows.classes));
  for (int64_t r = 0; r < rows.rows; ++r) {
    const float* const logits = rows.logits + r * rows.classes;
    for (int64_t i = 0; i < rows.classes; ++i) row[i] = logits[i] / rows.temperature;
    encoder.Encode(row.data(), output.values + r * rows.top_k * 2,
                   output.class_indexes + r * rows.top_k * index_bytes, output.tail_mass + r * 2);
  }
}

absl::Status DecodeTopK(const RowsToDecode& encoded, SoftTargetRows* rows) {
  const EncodedView& tensors = encoded.tensors;
  const int64_t row_count = encoded.rows;
  const int64_t top_k = encoded.top_k;
  const auto first = static_cast<int64_t>(rows->tail_mass.size());
  const int64_t count = row_count * top_k;
  const auto resize = [&](int64_t size) {
    rows->probabilities.resize(static_cast<size_t>(size * top_k));
    rows->class_indexes.resize(static_cast<size_t>(size * top_k));
    rows->tail_mass.resize(static_cast<size_t>(size));
  };
  resize(first + row_count);
  HalvesToFloats(tensors.values.data(), count, &rows->probabilities[first * top_k]);
  HalvesToFloats(tensors.tail_mass.data(), row_count, &rows->tail_mass[first]);
  for (int64_t i = 0; i < count; ++i) {
    int32_t& index = rows->class_indexes[first * top_k + i];
    if (ClassIndexBytes(encoded.classes) == 4) {
      std::memcpy(&index, tensors.class_indexes.data() + i * 4, 4);
    } else {
      int16_t narrow = 0;
      std::memcpy(&narrow, tensors.class_indexes.data() + i * 2, 2);
      index = narrow;
    }
  }
  absl::Status status = CheckTopK(encoded, *rows, first);
  if (!status.ok()) resize(first);
  return status;
}

}  // namespace distillery
