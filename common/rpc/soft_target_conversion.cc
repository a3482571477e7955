#include "common/rpc/soft_target_conversion.h"

#include <algorithm>
#include <iterator>
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

using Field = const v1::Tensor& (v1::SoftTargetChunk::*)() const;
// In the order of TensorRole.
constexpr Field kSoftTargets[] = {&v1::SoftTargetChunk::values, &v1::SoftTargetChunk::row_scales,
                                  &v1::SoftTargetChunk::class_indexes,
                                  &v1::SoftTargetChunk::tail_mass};
static_assert(std::size(kSoftTargets) == kTensorRoleCount);

const v1::Tensor& TensorOf(const v1::SoftTargetChunk& chunk, TensorRole role) {
  return (chunk.*kSoftTargets[static_cast<int>(role)])();
}

// In the order of Representation.
constexpr v1::Representation kRepresentations[] = {
    v1::REPRESENTATION_LOGITS, v1::REPRESENTATION_PROBABILITIES, v1::REPRESENTATION_NONE};
static_assert(std::size(kRepresentations) == kRepresentationCount);

}  // namespace

v1::Representation ToProto(Representation representation) {
  return kRepresentations[static_cast<int>(representation)];
}

absl::StatusOr<Representation> ReadRepresentation(int representation) {
  if (representation == v1::REPRESENTATION_UNSPECIFIED) return Representation::kLogits;
  const auto* const found =
      std::find(std::begin(kRepresentations), std::end(kRepresentations), representation);
  if (found == std::end(kRepresentations)) {
    return absl::InvalidArgumentError(absl::StrCat("representation is unknown: ", representation));
  }
  return static_cast<Representation>(found - std::begin(kRepresentations));
}

v1::Encoding ToProto(Encoding encoding) { return static_cast<v1::Encoding>(SpecOf(encoding).wire); }

v1::DataType ToProto(ElementType type) { return static_cast<v1::DataType>(SpecOf(type).wire); }

absl::Status AppendChunk(const v1::SoftTargetChunk& chunk, const SoftTargetFormat& format,
                         const AnswerShape& shape, int64_t max_row_count, SoftTargetRows* rows) {
  const int64_t row_count = chunk.values().shape().empty() ? 0 : chunk.values().shape(0);
  if (row_count < 1 || row_count > max_row_count) {
    return absl::DataLossError(absl::StrCat("a chunk of the teacher's stream has ", row_count,
                                            " rows, expected 1 to ", max_row_count));
  }
  // AppendDecoded sees that the tensors that the format does not have are empty.
  for (const EncodedTensor& tensor : format.Tensors(row_count, shape)) {
    DISTILLERY_RETURN_IF_ERROR(CheckTensor(kTensorRoleNames[static_cast<int>(tensor.role)],
                                           TensorOf(chunk, tensor.role), ToProto(tensor.type),
                                           tensor.shape));
  }
  EncodedView encoded;
  for (const TensorRole role : kTensorRoles) encoded[role] = TensorOf(chunk, role).data();
  return AppendDecoded(encoded, row_count, shape, format, rows);
}

uint32_t ChunkCrc32c(const v1::SoftTargetChunk& chunk, uint32_t previous) {
  uint32_t crc = previous;
  for (const TensorRole role : kTensorRoles) crc = Crc32c(TensorOf(chunk, role).data(), crc);
  crc = Crc32c(chunk.inputs().data(), crc);
  crc = Crc32c(chunk.labels().data(), crc);
  return crc;
}

}  // namespace distillery
