#include "common/rpc/soft_target_conversion.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/checksum.h"
#include "common/base/status_macros.h"
#include "common/soft_targets/decode.h"

namespace distillery {
namespace {

std::string Describe(int type, const std::vector<int64_t>& shape) {
  const std::string& name = v1::DataType_Name(static_cast<v1::DataType>(type));
  return absl::StrCat(name.empty() ? absl::StrCat("type ", type) : name, " [",
                      absl::StrJoin(shape, ", "), "]");
}

absl::Status CheckTensor(absl::string_view name, const v1::Tensor& tensor, v1::DataType type,
                         const std::vector<int64_t>& shape) {
  const std::vector<int64_t> actual(tensor.shape().begin(), tensor.shape().end());
  if (tensor.data_type() == type && actual == shape) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(name, " is ", Describe(tensor.data_type(), actual),
                                          ", expected ", Describe(type, shape)));
}

v1::DataType ValuesType(Encoding encoding) {
  switch (encoding) {
    case Encoding::kInt8:
      return v1::DATA_TYPE_INT8;
    case Encoding::kFloat16:
    case Encoding::kTopK:
      return v1::DATA_TYPE_FLOAT16;
    case Encoding::kFloat32:
      break;
  }
  return v1::DATA_TYPE_FLOAT32;
}

// Of the tensors that the format has; AppendDecoded sees that the others are empty.
absl::Status CheckTensors(const v1::SoftTargetChunk& chunk, const SoftTargetFormat& format,
                          int64_t rows, int64_t classes) {
  const bool top_k = format.encoding == Encoding::kTopK;
  const int64_t columns = top_k ? format.top_k : classes;
  DISTILLERY_RETURN_IF_ERROR(
      CheckTensor("values", chunk.values(), ValuesType(format.encoding), {rows, columns}));
  if (format.encoding == Encoding::kInt8) {
    return CheckTensor("row_scales", chunk.row_scales(), v1::DATA_TYPE_FLOAT32, {rows});
  }
  if (!top_k) return absl::OkStatus();
  DISTILLERY_RETURN_IF_ERROR(CheckTensor(
      "class_indexes", chunk.class_indexes(),
      ClassIndexBytes(classes) == 2 ? v1::DATA_TYPE_INT16 : v1::DATA_TYPE_INT32, {rows, columns}));
  return CheckTensor("tail_mass", chunk.tail_mass(), v1::DATA_TYPE_FLOAT16, {rows});
}

}  // namespace

v1::Representation ToProto(Representation representation) {
  switch (representation) {
    case Representation::kProbabilities:
      return v1::REPRESENTATION_PROBABILITIES;
    case Representation::kNone:
      return v1::REPRESENTATION_NONE;
    case Representation::kLogits:
      break;
  }
  return v1::REPRESENTATION_LOGITS;
}

v1::Encoding ToProto(Encoding encoding) {
  switch (encoding) {
    case Encoding::kFloat16:
      return v1::ENCODING_FLOAT16;
    case Encoding::kInt8:
      return v1::ENCODING_INT8;
    case Encoding::kTopK:
      return v1::ENCODING_TOP_K;
    case Encoding::kFloat32:
      break;
  }
  return v1::ENCODING_FLOAT32;
}

absl::Status AppendChunk(const v1::SoftTargetChunk& chunk, const SoftTargetFormat& format,
                         int64_t classes, int64_t max_row_count, SoftTargetRows* rows) {
  const int64_t row_count = chunk.values().shape().empty() ? 0 : chunk.values().shape(0);
  if (row_count < 1 || row_count > max_row_count) {
    return absl::DataLossError(absl::StrCat("a chunk of the teacher's stream has ", row_count,
                                            " rows, expected 1 to ", max_row_count));
  }
  DISTILLERY_RETURN_IF_ERROR(CheckTensors(chunk, format, row_count, classes));
  EncodedView encoded;
  encoded.values = chunk.values().data();
  encoded.row_scales = chunk.row_scales().data();
  encoded.class_indexes = chunk.class_indexes().data();
  encoded.tail_mass = chunk.tail_mass().data();
  return AppendDecoded(encoded, row_count, classes, format, rows);
}

uint32_t ChunkCrc32c(const v1::SoftTargetChunk& chunk, uint32_t previous) {
  uint32_t crc = previous;
  for (const v1::Tensor* const tensor :
       {&chunk.values(), &chunk.row_scales(), &chunk.class_indexes(), &chunk.tail_mass(),
        &chunk.inputs(), &chunk.labels()}) {
    crc = Crc32c(tensor->data(), crc);
  }
  return crc;
}

}  // namespace distillery
