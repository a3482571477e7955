// Checks the inputs of a query before it joins a batch, where one bad row would harm everybody.
//
// The rules are the same for every interface: pixels as query_pixels.h says, other floats finite,
// tokens below the vocabulary.
//
// Threads: safe for all.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/data/sample_spec.h"
#include "teacher_service/teachers/input_columns.h"

namespace distillery {

// The one input of a model that takes single pictures, which had no name at first.
inline constexpr char kPictureInput[] = "inputs";

// What an input of the model is called in requests and in errors: that of a single picture
// "inputs", others as in the card.
std::string InputName(const SampleSpec& samples, size_t input);
// All of them, in the order of the card.
std::vector<std::string> InputNames(const SampleSpec& samples);

// INVALID_ARGUMENT names the input, the row and the place of the first number that breaks the rule.
absl::Status CheckQueryInputs(const SampleSpec& samples, const InputColumns& inputs, int64_t rows,
                              bool any_finite_pixels);

}  // namespace distillery
