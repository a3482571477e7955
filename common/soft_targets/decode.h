// Soft targets from the wire back to numbers.
//
// Threads: safe for all. What comes in is checked before it is used, whoever sent it.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "common/soft_targets/format.h"
#include "common/soft_targets/rows.h"

namespace distillery {

// Appends `row_count` rows to `rows`, all of one format. DATA_LOSS, with `rows` as before, if a
// tensor has another size than the format gives it, a number is not finite, or a top-k position is
// no distribution: a class out of range or twice, a probability that is not 0 to 1, a sum that is
// off 1 by over 1 %. REQUIRES: format.Validate(shape) is OK; row_count >= 0, and all sizes fit.
absl::Status AppendDecoded(const EncodedView& encoded, int64_t row_count, const AnswerShape& shape,
                           const SoftTargetFormat& format, SoftTargetRows* rows);

}  // namespace distillery
