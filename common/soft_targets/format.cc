#include "common/soft_targets/format.h"

#include <limits>

#include "absl/strings/str_cat.h"

namespace distillery {

absl::Status SoftTargetFormat::Validate(int64_t classes) const {
  // As the float32 that logits are divided by, it must be neither 0 nor infinity.
  if (!(temperature >= std::numeric_limits<float>::min() &&
        temperature <= std::numeric_limits<float>::max())) {
    return absl::InvalidArgumentError(
        absl::StrCat("temperature must be finite and > 0, got ", temperature));
  }
  if (SpecOf(encoding).top_k) {
    if (top_k >= 1 && top_k <= classes) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("top_k must be 1 to the number of classes, ", classes, ", got ", top_k));
  }
  if (top_k == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("top_k is for the encoding top_k alone: with ",
                                                 EncodingName(encoding), " it must be 0, got ",
                                                 top_k));
}

std::vector<EncodedTensor> SoftTargetFormat::Tensors(int64_t rows, int64_t classes) const {
  std::vector<EncodedTensor> tensors;
  for (const TensorSlot& slot : SpecOf(encoding).tensors) {
    EncodedTensor& tensor = tensors.emplace_back(EncodedTensor{slot.role, slot.type, {rows}});
    if (slot.role == TensorRole::kClassIndexes) tensor.type = ClassIndexType(classes);
    if (slot.columns != Columns::kNone) {
      tensor.shape.push_back(slot.columns == Columns::kTopK ? top_k : classes);
    }
  }
  return tensors;
}

EncodedSizes SoftTargetFormat::SizesOf(int64_t rows, int64_t classes) const {
  EncodedSizes sizes;
  if (representation == Representation::kNone) return sizes;
  for (const EncodedTensor& tensor : Tensors(rows, classes)) sizes[tensor.role] = tensor.bytes();
  return sizes;
}

}  // namespace distillery
