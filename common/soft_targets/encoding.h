// The encodings of soft targets: one row of one table for each, which both ends of a stream use.
// The device side of a teacher has its own functions, see teacher_service/teachers/
// tensor_encoding.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/soft_targets/encoded_rows.h"
#include "common/soft_targets/rows.h"

namespace distillery {

enum class Encoding { kFloat32, kFloat16, kInt8, kTopK };
inline constexpr int kEncodingCount = static_cast<int>(Encoding::kTopK) + 1;

enum class Columns { kNone, kClasses, kTopK };

struct TensorSlot {
  TensorRole role;
  // For class indexes see ClassIndexType.
  ElementType type;
  // The tensor is [rows], [rows, classes] or [rows, top_k], with the positions behind the rows.
  Columns columns;
};

struct EncodingSpec {
  Encoding encoding;
  const char* name;
  // Its number in teacher_service.proto.
  int wire;
  // Rows hold the top_k largest probabilities, whatever the representation, not all classes.
  bool top_k;
  // In the order of the roles; the first one is the values.
  absl::Span<const TensorSlot> tensors;
  void (*encode)(const LogitRowsToEncode& rows, const EncodedBuffers& output);
  // Appends to the columns of `rows`, but leaves row_count to the caller. DATA_LOSS, with `rows` as
  // before, for what is no row of soft targets.
  absl::Status (*decode)(const RowsToDecode& encoded, SoftTargetRows* rows);
};

// In the order of the enum.
absl::Span<const EncodingSpec> Encodings();
const EncodingSpec& SpecOf(Encoding encoding);

// "float32", "float16", "int8", "top_k".
const std::vector<std::string>& EncodingNames();
std::string EncodingName(Encoding encoding);
// INVALID_ARGUMENT with the nearest name.
absl::StatusOr<Encoding> ParseEncoding(absl::string_view name);
// True for the name of an encoding with EncodingSpec::top_k.
bool IsTopK(absl::string_view name);

}  // namespace distillery
