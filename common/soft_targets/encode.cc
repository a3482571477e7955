#include "common/soft_targets/encode.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <vector>

#include "common/soft_targets/half.h"

namespace distillery {
namespace {

// Values converted at a time, so that they stay in the first cache.
constexpr int64_t kBlock = 1024;

void Divide(const float* logits, int64_t count, float temperature, float* output) {
  for (int64_t i = 0; i < count; ++i) output[i] = logits[i] / temperature;
}

// In place: z/T -> softmax(z/T). Shifted by the maximum, so nothing overflows.
void Softmax(float* row, int64_t classes, double* exponentials) {
  const float largest = *std::max_element(row, row + classes);
  double sum = 0;
  for (int64_t i = 0; i < classes; ++i) {
    exponentials[i] = std::exp(static_cast<double>(row[i]) - largest);
    sum += exponentials[i];
  }
  for (int64_t i = 0; i < classes; ++i) row[i] = static_cast<float>(exponentials[i] / sum);
}

// Returns the scale. NaN or infinity in the row makes it the scale.
float RowToInt8(const float* row, int64_t classes, char* output) {
  // As integers, magnitudes order like floats, with infinity and NaN last.
  uint32_t largest = 0;
  for (int64_t i = 0; i < classes; ++i) {
    uint32_t bits = 0;
    std::memcpy(&bits, row + i, sizeof(bits));
    largest = std::max(largest, bits & 0x7FFFFFFFU);
  }
  float scale = 0;
  std::memcpy(&scale, &largest, sizeof(scale));
  scale /= 127;
  if (!(scale > 0 && scale <= std::numeric_limits<float>::max())) {
    std::memset(output, 0, static_cast<size_t>(classes));
    return scale;
  }
  for (int64_t i = 0; i < classes; ++i) {
    // Added to 1.5 * 2^23 a number is rounded to an integer, the low byte of the sum's bits.
    const float clamped = std::min(127.0F, std::max(-127.0F, row[i] / scale));
    const float sum = clamped + 0x1.8p23F;
    uint32_t bits = 0;
    std::memcpy(&bits, &sum, sizeof(bits));
    output[i] = static_cast<char>(bits);
  }
  return scale;
}

// Grows with the value, and among equal values with a lower class. A total order of all floats.
uint64_t SortKey(float value, int64_t index) {
  value += 0.0F;  // -0 equals 0
  int32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  const int32_t ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF);
  return (static_cast<uint64_t>(static_cast<uint32_t>(ordered) ^ 0x80000000U) << 32) |
         (~static_cast<uint32_t>(index));
}

// Encodes rows one at a time; holds the scratch memory that they share.
class TopKEncoder {
 public:
  TopKEncoder(int64_t classes, int64_t top_k)
      : classes_(classes),
        top_k_(top_k),
        index_bytes_(ClassIndexBytes(classes)),
        keys_(static_cast<size_t>(classes)),
        top_(static_cast<size_t>(top_k)) {}

  // `row` z/T [classes] is overwritten.
  void Encode(float* row, char* values, char* indexes, char* tail_mass) {
    for (int64_t i = 0; i < classes_; ++i) keys_[i] = SortKey(row[i], i);
    std::partial_sort(keys_.begin(), keys_.begin() + top_k_, keys_.end(), std::greater<>());
    const float largest = row[ClassOf(keys_[0])];
    double top_sum = 0;
    for (int64_t i = 0; i < top_k_; ++i) {
      const int64_t index = ClassOf(keys_[i]);
      top_[i] = std::exp(static_cast<double>(row[index]) - largest);
      top_sum += top_[i];
      row[index] = -std::numeric_limits<float>::infinity();  // exp: 0
      const auto stored = static_cast<int32_t>(index);
      std::memcpy(indexes + i * index_bytes_, &stored, static_cast<size_t>(index_bytes_));
    }
    double others = 0;
    if (top_k_ < classes_) {
      for (int64_t i = 0; i < classes_; ++i) {
        others += std::exp(static_cast<double>(row[i]) - largest);
      }
    }
    const double sum = top_sum + others;
    for (int64_t i = 0; i < top_k_; ++i) StoreHalf(top_[i] / sum, values + i * 2);
    StoreHalf(others / sum, tail_mass);
  }

 private:
  static int64_t ClassOf(uint64_t key) { return ~static_cast<uint32_t>(key); }
  static void StoreHalf(double value, char* output) {
    const uint16_t half = FloatToHalf(static_cast<float>(value));
    std::memcpy(output, &half, sizeof(half));
  }

  const int64_t classes_;
  const int64_t top_k_;
  const int64_t index_bytes_;
  std::vector<uint64_t> keys_;
  // exp(z/T - largest) [top_k]
  std::vector<double> top_;
};

// z/T in a dense encoding that needs no view of a whole row.
void EncodeElements(const float* logits, int64_t count, float temperature, Encoding encoding,
                    char* output) {
  if (encoding == Encoding::kFloat32 && temperature == 1) {
    std::memcpy(output, logits, static_cast<size_t>(count) * sizeof(float));
    return;
  }
  float block[kBlock];
  for (int64_t done = 0; done < count; done += kBlock) {
    const int64_t size = std::min(kBlock, count - done);
    Divide(logits + done, size, temperature, block);
    if (encoding == Encoding::kFloat16) {
      FloatsToHalves(block, size, output + done * 2);
    } else {
      std::memcpy(output + done * 4, block, static_cast<size_t>(size) * sizeof(float));
    }
  }
}

}  // namespace

void EncodeSoftTargets(const float* logits, int64_t rows, int64_t classes,
                       const SoftTargetFormat& format, const EncodedBuffers& output) {
  if (format.representation == Representation::kNone) return;
  const auto temperature = static_cast<float>(format.temperature);
  const bool probabilities = format.representation == Representation::kProbabilities;
  if (!probabilities &&
      (format.encoding == Encoding::kFloat32 || format.encoding == Encoding::kFloat16)) {
    EncodeElements(logits, rows * classes, temperature, format.encoding, output.values);
    return;
  }
  const EncodedSizes step = format.SizesOf(1, classes);
  std::vector<float> row(static_cast<size_t>(classes));
  const bool top_k = format.encoding == Encoding::kTopK;
  std::vector<double> exponentials(static_cast<size_t>(top_k ? 0 : classes));
  TopKEncoder encoder(top_k ? classes : 0, format.top_k);
  for (int64_t r = 0; r < rows; ++r) {
    Divide(logits + r * classes, classes, temperature, row.data());
    char* const values = output.values + r * step.values;
    if (top_k) {
      encoder.Encode(row.data(), values, output.class_indexes + r * step.class_indexes,
                     output.tail_mass + r * step.tail_mass);
      continue;
    }
    if (probabilities) Softmax(row.data(), classes, exponentials.data());
    if (format.encoding == Encoding::kFloat32) {
      std::memcpy(values, row.data(), row.size() * sizeof(float));
    } else if (format.encoding == Encoding::kFloat16) {
      FloatsToHalves(row.data(), classes, values);
    } else {
      const float scale = RowToInt8(row.data(), classes, values);
      std::memcpy(output.row_scales + r * step.row_scales, &scale, sizeof(scale));
    }
  }
}

EncodedRows EncodeSoftTargets(const float* logits, int64_t rows, int64_t classes,
                              const SoftTargetFormat& format) {
  const EncodedSizes sizes = format.SizesOf(rows, classes);
  EncodedRows encoded;
  encoded.values.resize(static_cast<size_t>(sizes.values));
  encoded.row_scales.resize(static_cast<size_t>(sizes.row_scales));
  encoded.class_indexes.resize(static_cast<size_t>(sizes.class_indexes));
  encoded.tail_mass.resize(static_cast<size_t>(sizes.tail_mass));
  EncodeSoftTargets(logits, rows, classes, format,
                    {encoded.values.data(), encoded.row_scales.data(),
                     encoded.class_indexes.data(), encoded.tail_mass.data()});
  return encoded;
}

}  // namespace distillery
