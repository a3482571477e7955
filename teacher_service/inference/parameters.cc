#include "teacher_service/inference/parameters.h"

#include <algorithm>
#include <limits>
#include <set>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "teacher_service/inference/query_pixels.h"

namespace distillery {
namespace {

bool IsTritons(const std::string& name) {
  static const auto* const names = new std::set<std::string>{"headers", "priority", "sequence_end",
                                                             "sequence_id", "sequence_start"};
  return names->count(name) > 0 || absl::StartsWith(name, "triton_");
}

absl::Status Wrong(absl::string_view name, absl::string_view expected,
                   const ParameterValue& value) {
  const auto* const text = std::get_if<std::string>(&value);
  return absl::InvalidArgumentError(
      absl::StrCat("parameters[\"", name, "\"] must be ", expected,
                   text == nullptr ? "" : absl::StrCat(", got \"", Printable(*text), "\"")));
}

absl::StatusOr<double> ReadNumber(absl::string_view name, const ParameterValue& value) {
  if (const auto* const number = std::get_if<double>(&value)) return *number;
  if (const auto* const number = std::get_if<int64_t>(&value)) return static_cast<double>(*number);
  if (const auto* const number = std::get_if<uint64_t>(&value)) return static_cast<double>(*number);
  double parsed = 0;
  const auto* const text = std::get_if<std::string>(&value);
  if (text != nullptr && absl::SimpleAtod(*text, &parsed)) return parsed;
  return Wrong(name, "a number", value);
}

absl::StatusOr<int64_t> ReadWhole(absl::string_view name, const ParameterValue& value) {
  if (const auto* const number = std::get_if<int64_t>(&value)) return *number;
  const auto* const number = std::get_if<uint64_t>(&value);
  if (number != nullptr && *number <= std::numeric_limits<int64_t>::max()) {
    return static_cast<int64_t>(*number);
  }
  int64_t parsed = 0;
  const auto* const text = std::get_if<std::string>(&value);
  if (text != nullptr && absl::SimpleAtoi(*text, &parsed)) return parsed;
  return Wrong(name, "a whole number", value);
}

absl::StatusOr<bool> ReadTruth(absl::string_view name, const ParameterValue& value) {
  if (const auto* const truth = std::get_if<bool>(&value)) return *truth;
  const auto* const text = std::get_if<std::string>(&value);
  if (text != nullptr && (*text == "true" || *text == "false")) return *text == "true";
  return Wrong(name, "true or false", value);
}

absl::StatusOr<Representation> ReadRepresentation(const ParameterValue& value) {
  const auto* const text = std::get_if<std::string>(&value);
  if (text == nullptr) return Wrong("representation", "a text", value);
  if (*text == "logits") return Representation::kLogits;
  if (*text == "probabilities") return Representation::kProbabilities;
  return absl::InvalidArgumentError(
      absl::StrCat("parameters[\"representation\"]: ",
                   UnknownName("representation", *text, {"logits", "probabilities"})));
}

}  // namespace

absl::StatusOr<InferenceParameters> ReadInferenceParameters(
    const std::map<std::string, ParameterValue>& values, const AnswerShape& shape) {
  const int64_t classes = shape.classes;
  InferenceParameters parameters;
  for (const auto& [name, value] : values) {
    if (name == "temperature") {
      DISTILLERY_ASSIGN_OR_RETURN(parameters.temperature, ReadNumber(name, value));
    } else if (name == "representation") {
      DISTILLERY_ASSIGN_OR_RETURN(parameters.representation, ReadRepresentation(value));
    } else if (name == "top_k") {
      DISTILLERY_ASSIGN_OR_RETURN(parameters.top_k, ReadWhole(name, value));
      if (parameters.top_k < 1 || parameters.top_k > classes) {
        return absl::InvalidArgumentError(
            absl::StrCat("parameters[\"top_k\"] must be 1 to the number of classes, ", classes,
                         ", got ", parameters.top_k));
      }
    } else if (name == "pixel_max") {
      DISTILLERY_ASSIGN_OR_RETURN(parameters.pixel_max, ReadNumber(name, value));
      DISTILLERY_RETURN_IF_ERROR(Annotate(CheckPixelMax(parameters.pixel_max), "parameters"));
    } else if (name == "allow_out_of_range") {
      DISTILLERY_ASSIGN_OR_RETURN(parameters.allow_out_of_range, ReadTruth(name, value));
    } else if (name == "timeout") {
      DISTILLERY_ASSIGN_OR_RETURN(const int64_t microseconds, ReadWhole(name, value));
      if (microseconds < 0) {
        return absl::InvalidArgumentError(
            absl::StrCat("parameters[\"timeout\"] must be >= 0 microseconds, got ", microseconds));
      }
      if (microseconds > 0) parameters.timeout = absl::Microseconds(microseconds);
    } else if (!IsTritons(name)) {
      return absl::InvalidArgumentError(
          UnknownName("parameter", name,
                      {"temperature", "representation", "top_k", "pixel_max", "allow_out_of_range",
                       "timeout"}));
    }
  }
  SoftTargetFormat format;
  format.temperature = parameters.temperature;
  format.representation = parameters.representation;
  DISTILLERY_RETURN_IF_ERROR(Annotate(format.Validate(shape), "parameters"));
  if (parameters.top_k > 0) {
    format.encoding = Encoding::kTopK;
    format.top_k = parameters.top_k;
    DISTILLERY_RETURN_IF_ERROR(Annotate(format.Validate(shape), "parameters"));
  }
  return parameters;
}

absl::StatusOr<int64_t> ReadClassification(const ParameterValue& value, int64_t classes) {
  DISTILLERY_ASSIGN_OR_RETURN(const int64_t count, ReadWhole(kClassification, value));
  if (count > 0) return std::min(count, classes);
  return absl::InvalidArgumentError(
      absl::StrCat("parameters[\"", kClassification, "\"] must be > 0, got ", count));
}

}  // namespace distillery
