#include "common/rpc/sample_conversion.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/rpc/soft_target_conversion.h"

namespace distillery {

void ToProto(const SampleSpec& spec, InputSpecs* inputs, v1::AnswerSpec* answer) {
  for (const InputSpec& input : spec.inputs) {
    v1::InputSpec* const message = inputs->Add();
    message->set_name(input.name);
    message->set_data_type(ToProto(input.type));
    for (const int64_t size : input.shape) message->add_shape(size);
    message->set_pixel_max(input.pixel_max);
    message->set_vocabulary(input.vocabulary);
  }
  // Kinds are numbered from 1 in messages.
  answer->set_kind(static_cast<v1::AnswerKind>(static_cast<int>(spec.answer.kind) + 1));
  for (const int64_t size : spec.answer.positions) answer->add_positions(size);
}

absl::StatusOr<SampleSpec> ReadSampleSpec(const InputSpecs& inputs, const v1::AnswerSpec& answer) {
  SampleSpec spec;
  for (const v1::InputSpec& message : inputs) {
    InputSpec& input = spec.inputs.emplace_back();
    input.name = message.name();
    const absl::StatusOr<ElementType> type = ReadElementType(message.data_type());
    if (!type.ok()) {
      return Annotate(type.status(), absl::StrCat("input ", Printable(input.name)));
    }
    input.type = *type;
    input.shape.assign(message.shape().begin(), message.shape().end());
    input.pixel_max = message.pixel_max();
    input.vocabulary = message.vocabulary();
  }
  // From 1 in messages, of which 0, unset, is the first one too.
  const int kind = std::max(1, static_cast<int>(answer.kind()));
  if (answer.kind() < 0 || kind > static_cast<int>(std::size(kAnswerKinds))) {
    return absl::InvalidArgumentError(absl::StrCat("unknown answer kind ", answer.kind()));
  }
  spec.answer.kind = static_cast<AnswerKind>(kind - 1);
  spec.answer.positions.assign(answer.positions().begin(), answer.positions().end());
  DISTILLERY_RETURN_IF_ERROR(CheckSampleSpec(spec));
  return spec;
}

absl::StatusOr<ElementType> ReadElementType(int data_type) {
  const auto* const found = std::find_if(
      std::begin(kElementTypes), std::end(kElementTypes),
      [&](const ElementTypeSpec& spec) { return spec.wire != 0 && spec.wire == data_type; });
  if (found == std::end(kElementTypes)) {
    return absl::InvalidArgumentError(absl::StrCat("unknown data type ", data_type));
  }
  return found->type;
}

}  // namespace distillery
