#include "common/data/record_check.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/half.h"
#include "common/base/packed_number.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

absl::Status CheckFloat(absl::string_view name, int64_t index, float number) {
  if (std::isfinite(number)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(name, "[", index, "] is ", number, ", it must be finite"));
}

absl::Status CheckToken(const InputSpec& input, int64_t index, int64_t token) {
  if (token >= 0 && token < input.vocabulary) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(input.name, "[", index, "] is ", token,
                                                 ", tokens are 0 to ", input.vocabulary - 1));
}

absl::Status CheckInput(const InputSpec& input, const uint8_t* stored) {
  for (int64_t i = 0; i < input.elements(); ++i) {
    switch (input.type) {
      case ElementType::kFloat32:
        DISTILLERY_RETURN_IF_ERROR(CheckFloat(input.name, i, NumberAt<float>(stored, i)));
        break;
      case ElementType::kFloat16:
        DISTILLERY_RETURN_IF_ERROR(
            CheckFloat(input.name, i, HalfToFloat(NumberAt<uint16_t>(stored, i))));
        break;
      case ElementType::kInt32:
        if (input.vocabulary == 0) return absl::OkStatus();
        DISTILLERY_RETURN_IF_ERROR(CheckToken(input, i, NumberAt<int32_t>(stored, i)));
        break;
      case ElementType::kInt64:
        if (input.vocabulary == 0) return absl::OkStatus();
        DISTILLERY_RETURN_IF_ERROR(CheckToken(input, i, NumberAt<int64_t>(stored, i)));
        break;
      default:  // any byte will do
        return absl::OkStatus();
    }
  }
  return absl::OkStatus();
}

// One number of the label, at `index` of the record's.
absl::Status CheckLabel(AnswerKind kind, int64_t answers, int64_t index, const uint8_t* stored) {
  if (kind == AnswerKind::kClasses) {
    const int32_t label = NumberAt<int32_t>(stored, index);
    if (label == kNoLabel || (label >= 0 && label < answers)) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat("the label at position ", index, " is ", label,
                                                   ", classes are 0 to ", answers - 1, ", and ",
                                                   kNoLabel, " stands for none"));
  }
  if (kind == AnswerKind::kValues)
    return CheckFloat("label", index, NumberAt<float>(stored, index));
  if (stored[index] <= 1) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("label[", index, "] is ", int{stored[index]}, ", it must be 0 or 1"));
}

}  // namespace

absl::Status CheckRecord(const SampleSpec& spec, int64_t answers, const uint8_t* record) {
  for (const InputSpec& input : spec.inputs) {
    DISTILLERY_RETURN_IF_ERROR(CheckInput(input, record));
    record += input.bytes();
  }
  const AnswerKind kind = spec.answer.kind;
  const int64_t labels = spec.label_bytes(answers) / SpecOf(SpecOf(kind).label_type).bytes;
  for (int64_t i = 0; i < labels; ++i) {
    DISTILLERY_RETURN_IF_ERROR(CheckLabel(kind, answers, i, record));
  }
  return absl::OkStatus();
}

}  // namespace distillery
