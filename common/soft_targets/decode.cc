#include "common/soft_targets/decode.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

absl::Status CheckSizes(const EncodedView& encoded, const EncodedSizes& expected) {
  for (const TensorRole role : kTensorRoles) {
    if (static_cast<int64_t>(encoded[role].size()) == expected[role]) continue;
    return absl::DataLossError(absl::StrCat(kTensorRoleNames[static_cast<int>(role)], " has ",
                                            encoded[role].size(), " bytes, the format needs ",
                                            expected[role]));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status AppendDecoded(const EncodedView& encoded, int64_t row_count, const AnswerShape& shape,
                           const SoftTargetFormat& format, SoftTargetRows* rows) {
  DISTILLERY_RETURN_IF_ERROR(CheckSizes(encoded, format.SizesOf(row_count, shape)));
  if (format.representation != Representation::kNone && row_count > 0) {
    const int64_t positions = shape.positions();
    DISTILLERY_RETURN_IF_ERROR(
        SpecOf(format.encoding)
            .decode({encoded, row_count * positions, shape.classes, format.top_k, positions},
                    rows));
  }
  rows->row_count += row_count;
  return absl::OkStatus();
}

}  // namespace distillery
