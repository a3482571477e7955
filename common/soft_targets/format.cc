#include "common/soft_targets/format.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "common/base/names.h"

namespace distillery {

const std::vector<std::string>& EncodingNames() {
  // In the order of the enum.
  static const auto* const names =
      new std::vector<std::string>{"float32", "float16", "int8", "top_k"};
  return *names;
}

std::string EncodingName(Encoding encoding) {
  return EncodingNames()[static_cast<size_t>(encoding)];
}

absl::StatusOr<Encoding> ParseEncoding(absl::string_view name) {
  const std::vector<std::string>& names = EncodingNames();
  for (size_t i = 0; i < names.size(); ++i) {
    if (name == names[i]) return static_cast<Encoding>(i);
  }
  return absl::InvalidArgumentError(UnknownName("encoding", name, names));
}

absl::Status SoftTargetFormat::Validate(int64_t classes) const {
  // As the float32 that logits are divided by, it must be neither 0 nor infinity.
  if (!(temperature >= std::numeric_limits<float>::min() &&
        temperature <= std::numeric_limits<float>::max())) {
    return absl::InvalidArgumentError(
        absl::StrCat("temperature must be finite and > 0, got ", temperature));
  }
  if (encoding == Encoding::kTopK) {
    if (top_k >= 1 && top_k <= classes) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("top_k must be 1 to the number of classes, ", classes, ", got ", top_k));
  }
  if (top_k == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("top_k is for the encoding top_k alone: with ",
                                                 EncodingName(encoding), " it must be 0, got ",
                                                 top_k));
}

EncodedSizes SoftTargetFormat::SizesOf(int64_t rows, int64_t classes) const {
  EncodedSizes sizes;
  if (representation == Representation::kNone) return sizes;
  switch (encoding) {
    case Encoding::kFloat32:
      sizes.values = rows * classes * 4;
      break;
    case Encoding::kFloat16:
      sizes.values = rows * classes * 2;
      break;
    case Encoding::kInt8:
      sizes.values = rows * classes;
      sizes.row_scales = rows * 4;
      break;
    case Encoding::kTopK:
      sizes.values = rows * top_k * 2;
      sizes.class_indexes = rows * top_k * ClassIndexBytes(classes);
      sizes.tail_mass = rows * 2;
      break;
  }
  return sizes;
}

}  // namespace distillery
