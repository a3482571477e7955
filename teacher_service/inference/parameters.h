// Request parameters of the Open Inference Protocol, as clients send them: a number may come as a
// number or as text.
//
// Threads: safe for all.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/soft_targets/format.h"

namespace distillery {

// Nothing, if the sender set no value.
using ParameterValue = std::variant<std::monostate, bool, int64_t, uint64_t, double, std::string>;

struct InferenceParameters {
  double temperature = 1;
  Representation representation = Representation::kLogits;
  // 0: not given.
  int64_t top_k = 0;
  // The input that stands for 1; 0: not given.
  double pixel_max = 0;
  // How many of its largest elements soft_targets gives, as text; 0: not given, it gives all as
  // numbers.
  int64_t classification = 0;
  // Pixels below 0 and above 1 are taken as they are.
  bool allow_out_of_range = false;
  // How long the request may wait, besides its deadline.
  absl::Duration timeout = absl::InfiniteDuration();
};

// INVALID_ARGUMENT names the parameter: one that is unknown, with the nearest name, or a value of
// the wrong kind or out of range, or that answers of this kind do not have. Names that Triton keeps
// for itself (sequence_id, priority, triton_...) pass: its client libraries send some of them
// unasked, and none changes an answer.
absl::StatusOr<InferenceParameters> ReadInferenceParameters(
    const std::map<std::string, ParameterValue>& values, const AnswerShape& shape);

// Triton's parameter of an output: how many of its largest elements to answer as text.
inline constexpr char kClassification[] = "classification";

// The value of that parameter, as Triton takes it: at most `classes`, even if it says more.
// INVALID_ARGUMENT unless it is a whole number > 0.
absl::StatusOr<int64_t> ReadClassification(const ParameterValue& value, int64_t classes);

}  // namespace distillery
