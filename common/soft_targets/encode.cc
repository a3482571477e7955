#include "common/soft_targets/encode.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "common/base/half.h"
#include "common/soft_targets/finite.h"
#include "common/soft_targets/top_k_encoder.h"

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

int32_t BitsOf(float value) {
  int32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

// Returns the scale; it is not finite if the row is not.
float RowToInt8(const float* row, int64_t classes, char* output) {
  const int32_t largest = LargestMagnitudeBits(row, classes);
  float scale = 0;
  std::memcpy(&scale, &largest, sizeof(scale));
  scale /= 127;
  if (!(scale > 0 && scale <= std::numeric_limits<float>::max())) {
    std::memset(output, 0, static_cast<size_t>(classes));
    return scale;
  }
  for (int64_t i = 0; i < classes; ++i) {
    // Added to 1.5 * 2^23 a small number is rounded to an integer, the low bits of the sum. A scale
    // that is subnormal may be too small for the largest values, so clamp.
    const int32_t rounded = BitsOf(row[i] / scale + 0x1.8p23F) - BitsOf(0x1.8p23F);
    output[i] = static_cast<char>(std::min(127, std::max(-127, rounded)));
  }
  return scale;
}

// z/T in an encoding that needs no view of a whole row.
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

void EncodeTopK(const float* logits, int64_t rows, int64_t classes, const SoftTargetFormat& format,
                const EncodedBuffers& output) {
  const EncodedSizes step = format.SizesOf(1, classes);
  TopKEncoder encoder(classes, format.top_k);
  std::vector<float> row(static_cast<size_t>(classes));
  for (int64_t r = 0; r < rows; ++r) {
    Divide(logits + r * classes, classes, static_cast<float>(format.temperature), row.data());
    encoder.Encode(row.data(), output.values + r * step.values,
                   output.class_indexes + r * step.class_indexes,
                   output.tail_mass + r * step.tail_mass);
  }
}

}  // namespace

void EncodeSoftTargets(const float* logits, int64_t rows, int64_t classes,
                       const SoftTargetFormat& format, const EncodedBuffers& output) {
  if (format.representation == Representation::kNone) return;
  if (format.encoding == Encoding::kTopK) {
    EncodeTopK(logits, rows, classes, format, output);
    return;
  }
  const auto temperature = static_cast<float>(format.temperature);
  const bool probabilities = format.representation == Representation::kProbabilities;
  if (!probabilities && format.encoding != Encoding::kInt8) {
    EncodeElements(logits, rows * classes, temperature, format.encoding, output.values);
    return;
  }
  const int64_t row_bytes = format.SizesOf(1, classes).values;
  std::vector<float> row(static_cast<size_t>(classes));
  std::vector<double> exponentials(static_cast<size_t>(classes));
  for (int64_t r = 0; r < rows; ++r) {
    Divide(logits + r * classes, classes, temperature, row.data());
    if (probabilities) Softmax(row.data(), classes, exponentials.data());
    char* const values = output.values + r * row_bytes;
    if (format.encoding == Encoding::kInt8) {
      const float scale = RowToInt8(row.data(), classes, values);
      std::memcpy(output.row_scales + r * 4, &scale, sizeof(scale));
    } else {
      EncodeElements(row.data(), classes, /*temperature=*/1, format.encoding, values);
    }
  }
}

EncodedRows RowsFor(int64_t rows, int64_t classes, const SoftTargetFormat& format) {
  const EncodedSizes sizes = format.SizesOf(rows, classes);
  EncodedRows encoded;
  encoded.values.resize(static_cast<size_t>(sizes.values));
  encoded.row_scales.resize(static_cast<size_t>(sizes.row_scales));
  encoded.class_indexes.resize(static_cast<size_t>(sizes.class_indexes));
  encoded.tail_mass.resize(static_cast<size_t>(sizes.tail_mass));
  return encoded;
}

EncodedBuffers BuffersOf(EncodedRows& rows) {
  return {rows.values.data(), rows.row_scales.data(), rows.class_indexes.data(),
          rows.tail_mass.data()};
}

EncodedRows EncodeSoftTargets(const float* logits, int64_t rows, int64_t classes,
                              const SoftTargetFormat& format) {
  EncodedRows encoded = RowsFor(rows, classes, format);
  EncodeSoftTargets(logits, rows, classes, format, BuffersOf(encoded));
  return encoded;
}

}  // namespace distillery
