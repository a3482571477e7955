// What a sample is, between domain types and messages.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "common/data/sample_spec.h"
#include "distillery/v1/tensor.pb.h"

namespace distillery {

using InputSpecs = google::protobuf::RepeatedPtrField<v1::InputSpec>;

// Appends the inputs and fills the answer.
void ToProto(const SampleSpec& spec, InputSpecs* inputs, v1::AnswerSpec* answer);

// The spec of a message's inputs and answer. INVALID_ARGUMENT, naming the input, as
// CheckSampleSpec, and for numbers that are no type or kind.
absl::StatusOr<SampleSpec> ReadSampleSpec(const InputSpecs& inputs, const v1::AnswerSpec& answer);

// The element type of a message; INVALID_ARGUMENT for a number that is none.
absl::StatusOr<ElementType> ReadElementType(int data_type);

}  // namespace distillery
