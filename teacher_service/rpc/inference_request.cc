#include "teacher_service/rpc/inference_request.h"

#include <google/protobuf/message.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/names.h"
#include "common/base/shape.h"
#include "common/base/status_macros.h"
#include "common/rpc/transport.h"
#include "teacher_service/inference/query_inputs.h"
#include "teacher_service/rpc/inference_datatypes.h"

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

// One input of the request, where it lies in it, and its elements.
struct FoundInput {
  int index = 0;
  const Input* input = nullptr;
  SentInput sent;
  // UINT8 of typed contents, which come in four bytes each.
  std::string narrowed;

  std::string field() const { return absl::StrCat("inputs[", index, "]"); }
};

absl::Status WrongCount(const FoundInput& found, absl::string_view field, int64_t count,
                        absl::string_view unit, int64_t needed) {
  return absl::InvalidArgumentError(absl::StrCat(field, " has ", count, " ", unit, ", ",
                                                 found.field(), ".shape and its datatype need ",
                                                 needed));
}

// Those of the card, in its order, by name.
absl::StatusOr<std::vector<FoundInput>> FindInputs(const inference::ModelInferRequest& message,
                                                   const SampleSpec& samples) {
  const std::vector<std::string> names = InputNames(samples);
  std::vector<FoundInput> inputs(names.size());
  for (int i = 0; i < message.inputs_size(); ++i) {
    const std::string field = absl::StrCat("inputs[", i, "]");
    const auto name = std::find(names.begin(), names.end(), message.inputs(i).name());
    if (name == names.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat(field, ".name: ", UnknownName("input", message.inputs(i).name(), names)));
    }
    FoundInput& input = inputs[static_cast<size_t>(name - names.begin())];
    if (input.input != nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat(field, ".name: \"", *name, "\" is given twice"));
    }
    if (message.inputs(i).parameters_size() > 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(field, ".parameters must be empty: send the elements in the request"));
    }
    input.index = i;
    input.input = &message.inputs(i);
  }
  for (size_t i = 0; i < names.size(); ++i) {
    if (inputs[i].input != nullptr) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("inputs: the input \"", names[i], "\" is missing"));
  }
  return inputs;
}

absl::StatusOr<const InferenceDatatype*> ReadDatatype(const FoundInput& found,
                                                      const InputSpec& spec) {
  const InferenceDatatype* const known = FindDatatype(found.input->datatype());
  if (known != nullptr && TakesType(spec, known->type)) return known;
  return absl::InvalidArgumentError(absl::StrCat(
      found.field(), ".datatype: ",
      UnknownName("datatype", found.input->datatype(), DatatypeNames(SentTypes(spec)))));
}

// Returns the number of elements.
absl::StatusOr<int64_t> CheckShape(const FoundInput& found, const InputSpec& spec) {
  const std::vector<int64_t> shape(found.input->shape().begin(), found.input->shape().end());
  // No message holds more than one element per byte.
  const absl::StatusOr<int64_t> count = CheckedElementCount(shape, kMaxMessageBytes);
  if (!count.ok()) return Annotate(count.status(), found.field());
  if (shape.size() != spec.shape.size() + 1 ||
      !std::equal(spec.shape.begin(), spec.shape.end(), shape.begin() + 1)) {
    std::vector<std::string> wanted = {"rows"};
    for (const int64_t size : spec.shape) wanted.push_back(absl::StrCat(size));
    return absl::InvalidArgumentError(absl::StrCat(found.field(), ".shape must be [",
                                                   absl::StrJoin(wanted, ", "), "], got [",
                                                   absl::StrJoin(shape, ", "), "]"));
  }
  if (shape[0] > kMaxInferenceRows) {
    return absl::ResourceExhaustedError(
        absl::StrCat(found.field(), " has ", shape[0], " rows, at most ", kMaxInferenceRows));
  }
  return *count;
}

absl::Status ReadRaw(const inference::ModelInferRequest& message, int64_t count,
                     FoundInput* found) {
  if (found->input->has_contents()) {
    return absl::InvalidArgumentError(absl::StrCat("raw_input_contents and ", found->field(),
                                                   ".contents are both set: send one of them"));
  }
  if (message.raw_input_contents_size() != message.inputs_size()) {
    return absl::InvalidArgumentError(absl::StrCat("raw_input_contents has ",
                                                   message.raw_input_contents_size(),
                                                   " entries, inputs has ", message.inputs_size()));
  }
  found->sent.bytes = message.raw_input_contents(found->index);
  const auto size = static_cast<int64_t>(found->sent.bytes.size());
  const int64_t needed = count * SpecOf(found->sent.type).bytes;
  if (size == needed) return absl::OkStatus();
  return WrongCount(*found, absl::StrCat("raw_input_contents[", found->index, "]"), size, "bytes",
                    needed);
}

// Typed UINT8 comes as uint32.
absl::Status Narrow(FoundInput* found) {
  const absl::string_view wide = found->sent.bytes;
  const size_t count = wide.size() / sizeof(uint32_t);
  for (size_t i = 0; i < count; ++i) {
    uint32_t value = 0;
    std::memcpy(&value, wide.data() + i * sizeof(value), sizeof(value));
    if (value > UINT8_MAX) {
      return absl::InvalidArgumentError(absl::StrCat(found->field(), ".contents.uint_contents[", i,
                                                     "] must be 0 to 255, got ", value));
    }
    found->narrowed.push_back(static_cast<char>(value));
  }
  found->sent.bytes = found->narrowed;
  found->sent.stays = false;
  return absl::OkStatus();
}

absl::Status ReadTyped(const InferenceDatatype& datatype, int64_t count, FoundInput* found) {
  if (datatype.field == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(found->field(), ".datatype ", datatype.name,
                     " has no typed contents: send it in raw_input_contents"));
  }
  const inference::InferTensorContents& contents = found->input->contents();
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  contents.GetReflection()->ListFields(contents, &fields);
  for (const google::protobuf::FieldDescriptor* const field : fields) {
    if (field->name() == datatype.field) continue;
    return absl::InvalidArgumentError(absl::StrCat(found->field(), ".contents.", field->name(),
                                                   " is not for ", datatype.name, ": use ",
                                                   datatype.field));
  }
  found->sent.bytes = datatype.elements(contents);
  const int64_t size = static_cast<int64_t>(found->sent.bytes.size()) / datatype.field_bytes;
  if (size != count) {
    return WrongCount(*found, absl::StrCat(found->field(), ".contents.", datatype.field), size,
                      "elements", count);
  }
  return datatype.type == ElementType::kUInt8 ? Narrow(found) : absl::OkStatus();
}

// As the message has them.
absl::Status ReadElements(const inference::ModelInferRequest& message, const InputSpec& spec,
                          FoundInput* found, InferenceRequest* request) {
  DISTILLERY_ASSIGN_OR_RETURN(const InferenceDatatype* const datatype, ReadDatatype(*found, spec));
  DISTILLERY_ASSIGN_OR_RETURN(const int64_t count, CheckShape(*found, spec));
  const int64_t rows = found->input->shape(0);
  if (request->rows == 0) request->rows = rows;
  if (rows != request->rows) {
    return absl::InvalidArgumentError(
        absl::StrCat(found->field(), " has ", rows, " rows, another input has ", request->rows));
  }
  found->sent.type = datatype->type;
  return request->raw ? ReadRaw(message, count, found) : ReadTyped(*datatype, count, found);
}

absl::Status ReadInputs(const inference::ModelInferRequest& message, const TeacherInfo& info,
                        InferenceRequest* request) {
  const SampleSpec& samples = info.card.samples;
  DISTILLERY_RETURN_IF_ERROR(CheckGivenPixelMax(samples, request->parameters.pixel_max));
  DISTILLERY_ASSIGN_OR_RETURN(std::vector<FoundInput> inputs, FindInputs(message, samples));
  request->raw = message.raw_input_contents_size() > 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    DISTILLERY_RETURN_IF_ERROR(ReadElements(message, samples.inputs[i], &inputs[i], request));
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    request->inputs.Add(samples.inputs[i], inputs[i].sent, request->parameters.pixel_max);
  }
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
  const AnswerShape shape = info.card.answer_shape();
  InferenceRequest request;
  std::map<std::string, ParameterValue> values;
  for (const auto& [name, parameter] : message.parameters()) values[name] = ToValue(parameter);
  DISTILLERY_ASSIGN_OR_RETURN(request.parameters, ReadInferenceParameters(values, shape));
  DISTILLERY_ASSIGN_OR_RETURN(request.outputs,
                              ReadOutputs(message, shape.classes, &request.parameters));
  DISTILLERY_RETURN_IF_ERROR(ReadInputs(message, info, &request));
  int64_t answer = InferenceBytes(request.rows, info.card, request.parameters, request.outputs) +
                   static_cast<int64_t>(message.id().size()) + kAnswerOverhead;
  // As varints, large class numbers take a byte more.
  if (!request.raw) answer += request.rows * shape.positions() * request.parameters.top_k;
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
