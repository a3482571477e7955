// Soft targets and their formats between domain types and messages.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/soft_targets/format.h"
#include "common/soft_targets/rows.h"
#include "distillery/v1/teacher_service.pb.h"

namespace distillery {

v1::Representation ToProto(Representation representation);
// INVALID_ARGUMENT for a number that is no representation. 0, which is not set, is kLogits.
absl::StatusOr<Representation> ReadRepresentation(int representation);
v1::Encoding ToProto(Encoding encoding);
// REQUIRES: a type that travels in messages.
v1::DataType ToProto(ElementType type);

// Appends the soft targets of a chunk, of 1 to max_row_count rows, to `rows`. DATA_LOSS, with
// `rows` as before, if a tensor's type, shape or size is not the format's, or as AppendDecoded
// says. REQUIRES: format.Validate(shape) is OK, and the representation is not kNone.
absl::Status AppendChunk(const v1::SoftTargetChunk& chunk, const SoftTargetFormat& format,
                         const AnswerShape& shape, int64_t max_row_count, SoftTargetRows* rows);

// CRC-32C of all tensors' bytes in the order of the fields, after those with the CRC `previous`:
// what a stream's trailer holds.
uint32_t ChunkCrc32c(const v1::SoftTargetChunk& chunk, uint32_t previous);

}  // namespace distillery
