#include "common/soft_targets/decode.h"

#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/base/half.h"
#include "common/base/status_macros.h"
#include "common/soft_targets/finite.h"

namespace distillery {
namespace {

// Rounding to float16 moves a sum of probabilities by less than 0.2 %.
constexpr double kSumTolerance = 0.01;

absl::Status CheckSize(absl::string_view name, absl::string_view bytes, int64_t expected) {
  if (static_cast<int64_t>(bytes.size()) == expected) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat(name, " has ", bytes.size(), " bytes, the format needs ", expected));
}

absl::Status CheckSizes(const EncodedView& encoded, const EncodedSizes& expected) {
  DISTILLERY_RETURN_IF_ERROR(CheckSize("values", encoded.values, expected.values));
  DISTILLERY_RETURN_IF_ERROR(CheckSize("row_scales", encoded.row_scales, expected.row_scales));
  DISTILLERY_RETURN_IF_ERROR(
      CheckSize("class_indexes", encoded.class_indexes, expected.class_indexes));
  return CheckSize("tail_mass", encoded.tail_mass, expected.tail_mass);
}

// `decoded` [rows, columns].
absl::Status CheckFinite(const float* decoded, int64_t rows, int64_t columns) {
  if (AllFinite(decoded, rows * columns)) return absl::OkStatus();
  int64_t at = 0;
  while (std::isfinite(decoded[at])) ++at;
  return absl::DataLossError(absl::StrCat("row ", at / columns, ", class ", at % columns, " is ",
                                          decoded[at], ", not a finite number"));
}

void DecodeInt8(const EncodedView& encoded, int64_t rows, int64_t classes, float* output) {
  for (int64_t r = 0; r < rows; ++r) {
    float scale = 0;
    std::memcpy(&scale, encoded.row_scales.data() + r * 4, sizeof(scale));
    const auto* const bytes = reinterpret_cast<const int8_t*>(encoded.values.data()) + r * classes;
    for (int64_t i = 0; i < classes; ++i) output[r * classes + i] = scale * bytes[i];
  }
}

absl::Status AppendDense(const EncodedView& encoded, int64_t row_count, int64_t classes,
                         Encoding encoding, std::vector<float>* values) {
  const size_t old_size = values->size();
  values->resize(old_size + static_cast<size_t>(row_count * classes));
  float* const output = values->data() + old_size;
  switch (encoding) {
    case Encoding::kFloat16:
      HalvesToFloats(encoded.values.data(), row_count * classes, output);
      break;
    case Encoding::kInt8:
      DecodeInt8(encoded, row_count, classes, output);
      break;
    default:
      std::memcpy(output, encoded.values.data(), encoded.values.size());
      break;
  }
  absl::Status status = CheckFinite(output, row_count, classes);
  if (!status.ok()) values->resize(old_size);
  return status;
}

// Appended rows of `rows` from `first` on.
absl::Status CheckTopK(const SoftTargetRows& rows, int64_t first, int64_t row_count,
                       int64_t classes, int64_t top_k) {
  // The last row, counted from 1, that each class was seen in.
  std::vector<int64_t> seen(static_cast<size_t>(classes));
  const auto is_probability = [](float value) { return value >= 0 && value <= 1; };
  for (int64_t r = 0; r < row_count; ++r) {
    const float tail = rows.tail_mass[first + r];
    if (!is_probability(tail)) {
      return absl::DataLossError(absl::StrCat("row ", r, ": the tail's mass is ", tail));
    }
    double sum = tail;
    for (int64_t i = 0; i < top_k; ++i) {
      const int64_t at = (first + r) * top_k + i;
      const int64_t index = rows.class_indexes[at];
      if (index < 0 || index >= classes) {
        return absl::DataLossError(
            absl::StrCat("row ", r, ": class ", index, " is not one of ", classes));
      }
      if (seen[index] == r + 1) {
        return absl::DataLossError(absl::StrCat("row ", r, ": class ", index, " is there twice"));
      }
      seen[index] = r + 1;
      const float probability = rows.probabilities[at];
      if (!is_probability(probability)) {
        return absl::DataLossError(
            absl::StrCat("row ", r, ": the probability of class ", index, " is ", probability));
      }
      sum += probability;
    }
    if (std::abs(sum - 1) > kSumTolerance) {
      return absl::DataLossError(absl::StrCat("row ", r, ": probabilities and tail sum to ", sum));
    }
  }
  return absl::OkStatus();
}

absl::Status AppendTopK(const EncodedView& encoded, int64_t row_count, int64_t classes,
                        int64_t top_k, SoftTargetRows* rows) {
  const auto first = static_cast<int64_t>(rows->tail_mass.size());
  const int64_t count = row_count * top_k;
  const auto resize = [&](int64_t size) {
    rows->probabilities.resize(static_cast<size_t>(size * top_k));
    rows->class_indexes.resize(static_cast<size_t>(size * top_k));
    rows->tail_mass.resize(static_cast<size_t>(size));
  };
  resize(first + row_count);
  HalvesToFloats(encoded.values.data(), count, &rows->probabilities[first * top_k]);
  HalvesToFloats(encoded.tail_mass.data(), row_count, &rows->tail_mass[first]);
  for (int64_t i = 0; i < count; ++i) {
    int32_t& index = rows->class_indexes[first * top_k + i];
    if (ClassIndexBytes(classes) == 4) {
      std::memcpy(&index, encoded.class_indexes.data() + i * 4, 4);
    } else {
      int16_t narrow = 0;
      std::memcpy(&narrow, encoded.class_indexes.data() + i * 2, 2);
      index = narrow;
    }
  }
  absl::Status status = CheckTopK(*rows, first, row_count, classes, top_k);
  if (!status.ok()) resize(first);
  return status;
}

}  // namespace

absl::Status AppendDecoded(const EncodedView& encoded, int64_t row_count, int64_t classes,
                           const SoftTargetFormat& format, SoftTargetRows* rows) {
  DISTILLERY_RETURN_IF_ERROR(CheckSizes(encoded, format.SizesOf(row_count, classes)));
  if (format.representation != Representation::kNone && row_count > 0) {
    DISTILLERY_RETURN_IF_ERROR(
        format.encoding == Encoding::kTopK
            ? AppendTopK(encoded, row_count, classes, format.top_k, rows)
            : AppendDense(encoded, row_count, classes, format.encoding, &rows->values));
  }
  rows->row_count += row_count;
  return absl::OkStatus();
}

}  // namespace distillery
