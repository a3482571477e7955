// Soft targets from the wire back to numbers.
//
// Threads: safe for all. What comes in is checked before it is used, whoever sent it.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/soft_targets/encode.h"
#include "common/soft_targets/format.h"
#include "common/soft_targets/rows.h"

namespace distillery {

// The tensors of encoded rows in somebody else's memory; absent ones are empty.
struct EncodedView {
  EncodedView() = default;
  // Of `rows`, which must outlive this.
  explicit EncodedView(const EncodedRows& rows)
      : values(rows.values),
        row_scales(rows.row_scales),
        class_indexes(rows.class_indexes),
        tail_mass(rows.tail_mass) {}

  absl::string_view values;
  absl::string_view row_scales;
  absl::string_view class_indexes;
  absl::string_view tail_mass;
};

// Appends `row_count` rows to `rows`, all of one format. DATA_LOSS, with `rows` as before, if a
// tensor has another size than the format gives it, a number is not finite, or a top-k row is no
// distribution: a class out of range or twice, a probability that is not 0 to 1, a sum that is off
// 1 by over 1 %. REQUIRES: format.Validate(classes) is OK; row_count >= 0, and all sizes fit.
absl::Status AppendDecoded(const EncodedView& encoded, int64_t row_count, int64_t classes,
                           const SoftTargetFormat& format, SoftTargetRows* rows);

}  // namespace distillery
