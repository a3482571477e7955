#include "teacher_service/rpc/compute_inputs.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/names.h"
#include "common/base/shape.h"
#include "common/base/status_macros.h"
#include "common/rpc/sample_conversion.h"
#include "common/rpc/soft_target_conversion.h"
#include "common/rpc/transport.h"
#include "teacher_service/inference/query_inputs.h"

namespace distillery {
namespace {

constexpr int64_t kMaxComputeRows = 4096;
constexpr int64_t kMaxComputeElements = kMaxMessageBytes / 4;

// "DATA_TYPE_INT64, DATA_TYPE_INT32 or DATA_TYPE_UINT8"
std::string TypesOf(const InputSpec& input) {
  std::vector<std::string> names;
  for (const ElementType type : SentTypes(input)) {
    // What has no number does not travel in these messages.
    if (SpecOf(type).wire != 0) names.push_back(v1::DataType_Name(ToProto(type)));
  }
  const std::string last = names.back();
  names.pop_back();
  return names.empty() ? last : absl::StrCat(absl::StrJoin(names, ", "), " or ", last);
}

// An input of the message, and what it is called there.
struct NamedTensor {
  std::string field;
  const v1::Tensor* tensor = nullptr;
};

absl::StatusOr<ElementType> TypeOf(const NamedTensor& sent, const InputSpec& input) {
  absl::StatusOr<ElementType> type = ReadElementType(sent.tensor->data_type());
  if (type.ok() && TakesType(input, *type)) return type;
  const std::string& name = v1::DataType_Name(sent.tensor->data_type());
  return absl::InvalidArgumentError(
      absl::StrCat(sent.field, ".data_type must be ", TypesOf(input), ", got ",
                   name.empty() ? absl::StrCat(static_cast<int>(sent.tensor->data_type())) : name));
}

// Type, shape and size.
absl::StatusOr<ElementType> CheckTensor(const NamedTensor& sent, const InputSpec& input) {
  DISTILLERY_ASSIGN_OR_RETURN(const ElementType type, TypeOf(sent, input));
  const v1::Tensor& tensor = *sent.tensor;
  const std::vector<int64_t> shape(tensor.shape().begin(), tensor.shape().end());
  const absl::StatusOr<int64_t> count = CheckedElementCount(shape, kMaxComputeElements);
  if (!count.ok()) return Annotate(count.status(), sent.field);
  if (shape.size() != input.shape.size() + 1 ||
      !std::equal(input.shape.begin(), input.shape.end(), shape.begin() + 1)) {
    std::vector<std::string> wanted = {"rows"};
    for (const int64_t size : input.shape) wanted.push_back(absl::StrCat(size));
    return absl::InvalidArgumentError(absl::StrCat(sent.field, ".shape must be [",
                                                   absl::StrJoin(wanted, ", "), "], got [",
                                                   absl::StrJoin(shape, ", "), "]"));
  }
  if (shape[0] > kMaxComputeRows) {
    return absl::ResourceExhaustedError(
        absl::StrCat(sent.field, " has ", shape[0], " rows, at most ", kMaxComputeRows));
  }
  const int64_t needed = *count * SpecOf(type).bytes;
  if (static_cast<int64_t>(tensor.data().size()) != needed) {
    return absl::InvalidArgumentError(
        absl::StrCat(sent.field, ".data has ", tensor.data().size(), " bytes, its shape needs ",
                     needed, " with its data_type ", v1::DataType_Name(tensor.data_type())));
  }
  return type;
}

// One for each input, in the order of the card, by name.
absl::StatusOr<std::vector<NamedTensor>> FindNamed(const v1::ComputeSoftTargetsRequest& request,
                                                   const std::vector<std::string>& names) {
  std::vector<NamedTensor> tensors(names.size());
  for (int i = 0; i < request.named_inputs_size(); ++i) {
    const v1::NamedInput& input = request.named_inputs(i);
    const std::string field = absl::StrCat("named_inputs[", i, "]");
    const auto found = std::find(names.begin(), names.end(), input.name());
    if (found == names.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat(field, ".name: ", UnknownName("input", input.name(), names)));
    }
    NamedTensor& tensor = tensors[static_cast<size_t>(found - names.begin())];
    if (tensor.tensor != nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat(field, ".name: \"", *found, "\" is given twice"));
    }
    tensor = {*found, &input.tensor()};
  }
  for (size_t i = 0; i < names.size(); ++i) {
    if (tensors[i].tensor != nullptr) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("named_inputs: the input \"", names[i], "\" is missing"));
  }
  return tensors;
}

absl::StatusOr<std::vector<NamedTensor>> FindTensors(const v1::ComputeSoftTargetsRequest& request,
                                                     const SampleSpec& samples) {
  const std::vector<std::string> names = InputNames(samples);
  if (request.named_inputs_size() > 0) {
    if (request.has_inputs()) {
      return absl::InvalidArgumentError("inputs and named_inputs are both set: send one of them");
    }
    return FindNamed(request, names);
  }
  if (names.size() == 1) return std::vector<NamedTensor>{{"inputs", &request.inputs()}};
  return absl::InvalidArgumentError(absl::StrCat("inputs: the model takes ", names.size(), ", ",
                                                 absl::StrJoin(names, ", "),
                                                 ": send them as named_inputs"));
}

}  // namespace

absl::StatusOr<ComputeInputs> ReadComputeInputs(const v1::ComputeSoftTargetsRequest& request,
                                                const SampleSpec& samples) {
  DISTILLERY_RETURN_IF_ERROR(CheckGivenPixelMax(samples, request.pixel_max()));
  DISTILLERY_ASSIGN_OR_RETURN(const std::vector<NamedTensor> tensors,
                              FindTensors(request, samples));
  ComputeInputs result;
  std::vector<ElementType> types;
  for (size_t i = 0; i < tensors.size(); ++i) {
    DISTILLERY_ASSIGN_OR_RETURN(const ElementType type, CheckTensor(tensors[i], samples.inputs[i]));
    types.push_back(type);
    const int64_t rows = tensors[i].tensor->shape(0);
    if (i == 0) result.rows = rows;
    if (rows != result.rows) {
      return absl::InvalidArgumentError(absl::StrCat(tensors[i].field, " has ", rows, " rows, ",
                                                     tensors[0].field, " has ", result.rows));
    }
  }
  for (size_t i = 0; i < tensors.size(); ++i) {
    SentInput sent;
    sent.type = types[i];
    sent.bytes = tensors[i].tensor->data();
    result.inputs.Add(samples.inputs[i], sent, request.pixel_max());
  }
  return result;
}

}  // namespace distillery
