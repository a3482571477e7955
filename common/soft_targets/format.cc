#include "common/soft_targets/format.h"

#include <iterator>
#include <limits>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

// What can be made of the logits of a kind.
struct KindFormats {
  AnswerKind kind;
  bool probabilities;
  bool top_k;
  bool any_temperature;
};

// In the order of AnswerKind.
constexpr KindFormats kKindFormats[] = {
    {AnswerKind::kClasses, true, true, true},
    {AnswerKind::kMultilabel, true, false, true},
    {AnswerKind::kValues, false, false, false},
};
static_assert(std::size(kKindFormats) == std::size(kAnswerKinds));

absl::Status CheckKind(const SoftTargetFormat& format, AnswerKind kind) {
  const KindFormats& formats = kKindFormats[static_cast<int>(kind)];
  const absl::string_view name = SpecOf(kind).name;
  if (SpecOf(format.encoding).top_k && !formats.top_k) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the encoding top_k is for classes: answers of the kind ", name,
        " are no distribution, of which the largest ones stand for all; take float16 or int8"));
  }
  if (format.representation == Representation::kProbabilities && !formats.probabilities) {
    return absl::InvalidArgumentError(absl::StrCat("representation: answers of the kind ", name,
                                                   " have no probabilities; take the logits, which "
                                                   "are the numbers themselves"));
  }
  if (format.temperature != 1 && !formats.any_temperature) {
    return absl::InvalidArgumentError(absl::StrCat("temperature must be 1 for answers of the kind ",
                                                   name, ", which are no logits, got ",
                                                   format.temperature));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status SoftTargetFormat::Validate(const AnswerShape& shape) const {
  // As the float32 that logits are divided by, it must be neither 0 nor infinity.
  if (!(temperature >= std::numeric_limits<float>::min() &&
        temperature <= std::numeric_limits<float>::max())) {
    return absl::InvalidArgumentError(
        absl::StrCat("temperature must be finite and > 0, got ", temperature));
  }
  if (representation != Representation::kNone) {
    DISTILLERY_RETURN_IF_ERROR(CheckKind(*this, shape.answer.kind));
  }
  if (SpecOf(encoding).top_k) {
    if (top_k >= 1 && top_k <= shape.classes) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("top_k must be 1 to the number of classes, ", shape.classes, ", got ", top_k));
  }
  if (top_k == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("top_k is for the encoding top_k alone: with ",
                                                 EncodingName(encoding), " it must be 0, got ",
                                                 top_k));
}

std::vector<EncodedTensor> SoftTargetFormat::Tensors(int64_t rows, const AnswerShape& shape) const {
  std::vector<EncodedTensor> tensors;
  for (const TensorSlot& slot : SpecOf(encoding).tensors) {
    EncodedTensor& tensor =
        tensors.emplace_back(EncodedTensor{slot.role, slot.type, shape.SizesFor(rows)});
    if (slot.role == TensorRole::kClassIndexes) tensor.type = ClassIndexType(shape.classes);
    if (slot.columns != Columns::kNone) {
      tensor.shape.push_back(slot.columns == Columns::kTopK ? top_k : shape.classes);
    }
  }
  return tensors;
}

EncodedSizes SoftTargetFormat::SizesOf(int64_t rows, const AnswerShape& shape) const {
  EncodedSizes sizes;
  if (representation == Representation::kNone) return sizes;
  for (const EncodedTensor& tensor : Tensors(rows, shape)) sizes[tensor.role] = tensor.bytes();
  return sizes;
}

}  // namespace distillery
