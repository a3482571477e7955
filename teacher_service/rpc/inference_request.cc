#include "teacher_service/rpc/inference_request.h"

#include <google/protobuf/message.h>

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/names.h"
#include "common/base/shape.h"
#include "common/base/status_macros.h"
#include "common/rpc/transport.h"
#include "teacher_service/inference/pixels.h"
#include "teacher_service/inference/query_pixels.h"

namespace distillery {
namespace {

// For all of an answer that is neither elements nor the request's id.
constexpr int64_t kAnswerOverhead = 4096;

using Input = inference::ModelInferRequest::InferInputTensor;

ParameterValue ToValue(const inference::InferParameter& parameter) {
  switch (parameter.parameter_choice_case()) {
    case inference::InferParameter::kBoolParam:
      return parameter.bool_param();
    case inference::InferParameter::kInt64Param:
      return int64_t{parameter.int64_param()};
    case inference::InferParameter::kStringParam:
      return parameter.string_param();
    case inference::InferParameter::kDoubleParam:
      return parameter.double_param();
    case inference::InferParameter::kUint64Param:
      return uint64_t{parameter.uint64_param()};
    case inference::InferParameter::PARAMETER_CHOICE_NOT_SET:
      break;
  }
  return std::monostate();
}

absl::Status WrongCount(absl::string_view field, int64_t count, absl::string_view unit,
                        int64_t needed) {
  return absl::InvalidArgumentError(absl::StrCat(
      field, " has ", count, " ", unit, ", inputs[0].shape and its datatype need ", needed));
}

// The one input, by name.
absl::StatusOr<const Input*> FindInput(const inference::ModelInferRequest& message) {
  for (int i = 0; i < message.inputs_size(); ++i) {
    const std::string field = absl::StrCat("inputs[", i, "]");
    if (message.inputs(i).name() != kInferenceInput) {
      return absl::InvalidArgumentError(absl::StrCat(
          field, ".name: ", UnknownName("input", message.inputs(i).name(), {kInferenceInput})));
    }
    if (i > 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(field, ".name: \"", kInferenceInput, "\" is given twice"));
    }
    if (message.inputs(i).parameters_size() > 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(field, ".parameters must be empty: send the elements in the request"));
    }
  }
  if (message.inputs_size() > 0) return &message.inputs(0);
  return absl::InvalidArgumentError(
      absl::StrCat("inputs: the input \"", kInferenceInput, "\" is missing"));
}

// Returns the number of elements.
absl::StatusOr<int64_t> CheckShape(const Input& input, const TeacherInfo& info) {
  const std::vector<int64_t> shape(input.shape().begin(), input.shape().end());
  // No message holds more than one element per byte.
  const absl::StatusOr<int64_t> count = CheckedElementCount(shape, kMaxMessageBytes);
  if (!count.ok()) return Annotate(count.status(), "inputs[0]");
  const std::vector<int64_t> expected = info.card.input_shape.ToVector();
  if (shape.size() != expected.size() + 1 ||
      !std::equal(expected.begin(), expected.end(), shape.begin() + 1)) {
    return absl::InvalidArgumentError(absl::StrCat("inputs[0].shape must be [rows, ",
                                                   absl::StrJoin(expected, ", "), "], got [",
                                                   absl::StrJoin(shape, ", "), "]"));
  }
  if (shape[0] > kMaxInferenceRows) {
    return absl::ResourceExhaustedError(
        absl::StrCat("inputs[0] has ", shape[0], " rows, at most ", kMaxInferenceRows));
  }
  return *count;
}

absl::Status ReadRaw(const std::string& raw, PixelType type, int64_t count,
                     InferenceRequest* request) {
  const auto size = static_cast<int64_t>(raw.size());
  if (size != count * PixelBytes(type)) {
    return WrongCount("raw_input_contents[0]", size, "bytes", count * PixelBytes(type));
  }
  const bool aligned = reinterpret_cast<uintptr_t>(raw.data()) % alignof(float) == 0;
  if (type == PixelType::kFloat32 && aligned) {
    request->pixels = reinterpret_cast<const float*>(raw.data());
    return absl::OkStatus();
  }
  request->converted.resize(static_cast<size_t>(count));
  DecodePixels(raw, type, request->converted.data());
  request->pixels = request->converted.data();
  return absl::OkStatus();
}

// The field of InferTensorContents that holds a type.
const char* ContentsField(PixelType type) {
  switch (type) {
    case PixelType::kFloat32:
      return "fp32_contents";
    case PixelType::kFloat64:
      return "fp64_contents";
    case PixelType::kUint8:
      return "uint_contents";
    case PixelType::kFloat16:
      break;
  }
  return nullptr;
}

absl::Status ReadTyped(const inference::InferTensorContents& contents, PixelType type,
                       int64_t count, InferenceRequest* request) {
  const char* const wanted = ContentsField(type);
  if (wanted == nullptr) {
    return absl::InvalidArgumentError(
        "inputs[0].datatype FP16 has no typed contents: send it in raw_input_contents");
  }
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  const google::protobuf::Reflection& reflection = *contents.GetReflection();
  reflection.ListFields(contents, &fields);
  int64_t size = 0;
  for (const google::protobuf::FieldDescriptor* const field : fields) {
    if (field->name() != wanted) {
      return absl::InvalidArgumentError(absl::StrCat("inputs[0].contents.", field->name(),
                                                     " is not for ", PixelTypeName(type), ": use ",
                                                     wanted));
    }
    size = reflection.FieldSize(contents, field);
  }
  if (size != count) {
    return WrongCount(absl::StrCat("inputs[0].contents.", wanted), size, "elements", count);
  }
  if (type == PixelType::kFloat32) {
    request->pixels = contents.fp32_contents().data();
    return absl::OkStatus();
  }
  request->converted.reserve(static_cast<size_t>(count));
  for (const double value : contents.fp64_contents()) {
    request->converted.push_back(static_cast<float>(value));
  }
  for (const uint32_t value : contents.uint_contents()) {
    if (value > 255) {
      return absl::InvalidArgumentError(absl::StrCat("inputs[0].contents.uint_contents[",
                                                     request->converted.size(),
                                                     "] must be 0 to 255, got ", value));
    }
    request->converted.push_back(static_cast<float>(value));
  }
  request->pixels = request->converted.data();
  return absl::OkStatus();
}

// As the message has them. Returns their type.
absl::StatusOr<PixelType> ReadElements(const inference::ModelInferRequest& message,
                                       const TeacherInfo& info, InferenceRequest* request) {
  DISTILLERY_ASSIGN_OR_RETURN(const Input* const input, FindInput(message));
  const absl::StatusOr<PixelType> type = ParsePixelType(input->datatype());
  if (!type.ok()) return Annotate(type.status(), "inputs[0].datatype");
  DISTILLERY_ASSIGN_OR_RETURN(const int64_t count, CheckShape(*input, info));
  request->rows = input->shape(0);
  request->raw = message.raw_input_contents_size() > 0;
  if (!request->raw) {
    DISTILLERY_RETURN_IF_ERROR(ReadTyped(input->contents(), *type, count, request));
    return *type;
  }
  if (input->has_contents()) {
    return absl::InvalidArgumentError(
        "raw_input_contents and inputs[0].contents are both set: send one of them");
  }
  if (message.raw_input_contents_size() != message.inputs_size()) {
    return absl::InvalidArgumentError(absl::StrCat("raw_input_contents has ",
                                                   message.raw_input_contents_size(),
                                                   " entries, inputs has ", message.inputs_size()));
  }
  DISTILLERY_RETURN_IF_ERROR(ReadRaw(message.raw_input_contents(0), *type, count, request));
  return *type;
}

absl::Status ReadPixels(const inference::ModelInferRequest& message, const TeacherInfo& info,
                        InferenceRequest* request) {
  DISTILLERY_ASSIGN_OR_RETURN(const PixelType type, ReadElements(message, info, request));
  const double given = request->parameters.pixel_max;
  const double pixel_max = given != 0 ? given : DefaultPixelMax(type == PixelType::kUint8);
  if (pixel_max == 1) return absl::OkStatus();
  const int64_t count = request->rows * info.card.input_shape.size();
  if (request->converted.empty()) {
    request->converted.assign(request->pixels, request->pixels + count);
    request->pixels = request->converted.data();
  }
  DividePixels(pixel_max, count, request->converted.data());
  return absl::OkStatus();
}

absl::StatusOr<std::vector<InferenceOutput>> ReadOutputs(
    const inference::ModelInferRequest& message, int64_t classes, InferenceParameters* parameters) {
  std::vector<std::string> names;
  for (const auto& output : message.outputs()) {
    const std::string field = absl::StrCat("outputs[", names.size(), "]");
    for (const auto& [name, parameter] : output.parameters()) {
      if (name != kClassification) {
        return absl::InvalidArgumentError(absl::StrCat(
            field, ".parameters: ", UnknownName("parameter", name, {kClassification})));
      }
      if (output.name() != InferenceOutputNames()[0]) {
        return absl::InvalidArgumentError(
            absl::StrCat(field, ".parameters[\"", name, "\"] is for soft_targets alone"));
      }
      const absl::StatusOr<int64_t> count = ReadClassification(ToValue(parameter), classes);
      if (!count.ok()) return Annotate(count.status(), field);
      parameters->classification = *count;
    }
    names.push_back(output.name());
  }
  return ChooseInferenceOutputs(names, *parameters);
}

}  // namespace

absl::StatusOr<InferenceRequest> ReadInferenceRequest(const inference::ModelInferRequest& message,
                                                      const TeacherInfo& info) {
  const int64_t classes = info.card.class_count();
  InferenceRequest request;
  std::map<std::string, ParameterValue> values;
  for (const auto& [name, parameter] : message.parameters()) values[name] = ToValue(parameter);
  DISTILLERY_ASSIGN_OR_RETURN(request.parameters, ReadInferenceParameters(values, classes));
  DISTILLERY_ASSIGN_OR_RETURN(request.outputs, ReadOutputs(message, classes, &request.parameters));
  DISTILLERY_RETURN_IF_ERROR(ReadPixels(message, info, &request));
  int64_t answer =
      InferenceBytes(request.rows, info.card.class_names, request.parameters, request.outputs) +
      static_cast<int64_t>(message.id().size()) + kAnswerOverhead;
  // As varints, large class numbers take a byte more.
  if (!request.raw) answer += request.rows * request.parameters.top_k;
  if (answer > kMaxMessageBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the answer for ", request.rows, " rows would be over 4 MiB: send fewer"));
  }
  return request;
}

absl::Status CheckModelVersion(absl::string_view field, const std::string& version) {
  if (version.empty() || version == kModelVersion) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat(field, " must be \"", kModelVersion,
                                          "\" or empty, got \"", Printable(version), "\""));
}

}  // namespace distillery
