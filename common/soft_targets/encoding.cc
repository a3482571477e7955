#include "common/soft_targets/encoding.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>

#include "absl/strings/str_cat.h"
#include "common/base/half.h"
#include "common/base/names.h"
#include "common/soft_targets/finite.h"
#include "common/soft_targets/top_k.h"

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

// In place: z/T -> sigmoid(z/T), each by itself; exp of what is below 0 alone, so nothing
// overflows.
void Sigmoid(float* row, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const double less = std::exp(-std::abs(static_cast<double>(row[i])));
    row[i] = static_cast<float>((row[i] < 0 ? less : 1) / (1 + less));
  }
}

// Calls encode(row, r) with each row of z/T, softmax(z/T) or sigmoid(z/T) [classes].
template <typename Encode>
void ForEachRow(const LogitRowsToEncode& rows, const Encode& encode) {
  std::vector<float> row(static_cast<size_t>(rows.classes));
  const bool softmax = rows.probabilities && !rows.independent;
  std::vector<double> exponentials(static_cast<size_t>(softmax ? rows.classes : 0));
  for (int64_t r = 0; r < rows.rows; ++r) {
    Divide(rows.logits + r * rows.classes, rows.classes, rows.temperature, row.data());
    if (softmax) Softmax(row.data(), rows.classes, exponentials.data());
    if (rows.probabilities && rows.independent) Sigmoid(row.data(), rows.classes);
    encode(row.data(), r);
  }
}

// For encodings that need no view of a whole row: convert(values, count, output) writes `bytes` for
// each value.
template <typename Convert>
void EncodeElements(const LogitRowsToEncode& rows, int64_t bytes, char* output,
                    const Convert& convert) {
  if (rows.probabilities) {
    ForEachRow(rows, [&](const float* row, int64_t r) {
      convert(row, rows.classes, output + r * rows.classes * bytes);
    });
    return;
  }
  const int64_t count = rows.rows * rows.classes;
  float block[kBlock];
  for (int64_t done = 0; done < count; done += kBlock) {
    const int64_t size = std::min(kBlock, count - done);
    Divide(rows.logits + done, size, rows.temperature, block);
    convert(block, size, output + done * bytes);
  }
}

// `decoded` [rows, classes].
absl::Status CheckFinite(const RowsToDecode& encoded, const float* decoded) {
  const int64_t classes = encoded.classes;
  if (AllFinite(decoded, encoded.rows * classes)) return absl::OkStatus();
  int64_t at = 0;
  while (std::isfinite(decoded[at])) ++at;
  return absl::DataLossError(absl::StrCat(encoded.Name(at / classes), ", class ", at % classes,
                                          " is ", decoded[at], ", not a finite number"));
}

// decode(output) writes the values [rows, classes].
template <typename Decode>
absl::Status AppendDense(const RowsToDecode& encoded, SoftTargetRows* rows, const Decode& decode) {
  std::vector<float>& values = rows->values;
  const size_t old_size = values.size();
  values.resize(old_size + static_cast<size_t>(encoded.rows * encoded.classes));
  float* const output = values.data() + old_size;
  decode(output);
  absl::Status status = CheckFinite(encoded, output);
  if (!status.ok()) values.resize(old_size);
  return status;
}

constexpr TensorSlot kFloat32Tensors[] = {
    {TensorRole::kValues, ElementType::kFloat32, Columns::kClasses}};

void EncodeFloat32(const LogitRowsToEncode& rows, const EncodedBuffers& output) {
  const auto copy = [](const float* values, int64_t count, char* to) {
    std::memcpy(to, values, static_cast<size_t>(count) * sizeof(float));
  };
  if (!rows.probabilities && rows.temperature == 1) {
    copy(rows.logits, rows.rows * rows.classes, output.values);
  } else {
    EncodeElements(rows, sizeof(float), output.values, copy);
  }
}

absl::Status DecodeFloat32(const RowsToDecode& encoded, SoftTargetRows* rows) {
  return AppendDense(encoded, rows, [&](float* output) {
    std::memcpy(output, encoded.tensors.values.data(), encoded.tensors.values.size());
  });
}

constexpr TensorSlot kFloat16Tensors[] = {
    {TensorRole::kValues, ElementType::kFloat16, Columns::kClasses}};

void EncodeFloat16(const LogitRowsToEncode& rows, const EncodedBuffers& output) {
  EncodeElements(rows, 2, output.values, FloatsToHalves);
}

absl::Status DecodeFloat16(const RowsToDecode& encoded, SoftTargetRows* rows) {
  return AppendDense(encoded, rows, [&](float* output) {
    HalvesToFloats(encoded.tensors.values.data(), encoded.rows * encoded.classes, output);
  });
}

constexpr TensorSlot kInt8Tensors[] = {
    {TensorRole::kValues, ElementType::kInt8, Columns::kClasses},
    {TensorRole::kRowScales, ElementType::kFloat32, Columns::kNone}};

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

void EncodeInt8(const LogitRowsToEncode& rows, const EncodedBuffers& output) {
  ForEachRow(rows, [&](const float* row, int64_t r) {
    const float scale = RowToInt8(row, rows.classes, output.values + r * rows.classes);
    std::memcpy(output.row_scales + r * 4, &scale, sizeof(scale));
  });
}

absl::Status DecodeInt8(const RowsToDecode& encoded, SoftTargetRows* rows) {
  return AppendDense(encoded, rows, [&](float* output) {
    for (int64_t r = 0; r < encoded.rows; ++r) {
      float scale = 0;
      std::memcpy(&scale, encoded.tensors.row_scales.data() + r * 4, sizeof(scale));
      const int64_t first = r * encoded.classes;
      const auto* const bytes =
          reinterpret_cast<const int8_t*>(encoded.tensors.values.data()) + first;
      for (int64_t i = 0; i < encoded.classes; ++i) output[first + i] = scale * bytes[i];
    }
  });
}

constexpr TensorSlot kTopKTensors[] = {
    {TensorRole::kValues, ElementType::kFloat16, Columns::kTopK},
    {TensorRole::kClassIndexes, ElementType::kInt16, Columns::kTopK},
    {TensorRole::kTailMass, ElementType::kFloat16, Columns::kNone}};

constexpr EncodingSpec kEncodings[] = {
    {Encoding::kFloat32, "float32", 1, false, kFloat32Tensors, &EncodeFloat32, &DecodeFloat32},
    {Encoding::kFloat16, "float16", 2, false, kFloat16Tensors, &EncodeFloat16, &DecodeFloat16},
    {Encoding::kInt8, "int8", 3, false, kInt8Tensors, &EncodeInt8, &DecodeInt8},
    {Encoding::kTopK, "top_k", 4, true, kTopKTensors, &EncodeTopK, &DecodeTopK},
};
static_assert(std::size(kEncodings) == kEncodingCount);

}  // namespace

absl::Span<const EncodingSpec> Encodings() { return kEncodings; }

const EncodingSpec& SpecOf(Encoding encoding) { return kEncodings[static_cast<int>(encoding)]; }

const std::vector<std::string>& EncodingNames() {
  static const auto* const names = [] {
    auto* const all = new std::vector<std::string>();
    for (const EncodingSpec& spec : kEncodings) all->emplace_back(spec.name);
    return all;
  }();
  return *names;
}

std::string EncodingName(Encoding encoding) { return SpecOf(encoding).name; }

absl::StatusOr<Encoding> ParseEncoding(absl::string_view name) {
  for (const EncodingSpec& spec : kEncodings) {
    if (name == spec.name) return spec.encoding;
  }
  return absl::InvalidArgumentError(UnknownName("encoding", name, EncodingNames()));
}

bool IsTopK(absl::string_view name) {
  const absl::StatusOr<Encoding> encoding = ParseEncoding(name);
  return encoding.ok() && SpecOf(*encoding).top_k;
}

}  // namespace distillery
