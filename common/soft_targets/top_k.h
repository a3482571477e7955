// The k largest probabilities of each row, and the mass of the others.
#pragma once

#include "absl/status/status.h"
#include "common/soft_targets/encoded_rows.h"
#include "common/soft_targets/rows.h"

namespace distillery {

// Writes float16 values [rows, top_k], largest first, their int16 or int32 class indexes [rows,
// top_k], and float16 tails [rows], without alignment. REQUIRES: 1 <= top_k <= classes.
void EncodeTopK(const LogitRowsToEncode& rows, const EncodedBuffers& output);

// DATA_LOSS, with `rows` as before, if a row is no distribution: a class out of range or twice, a
// probability that is not 0 to 1, a sum that is off 1 by over 1 %.
absl::Status DecodeTopK(const RowsToDecode& encoded, SoftTargetRows* rows);

}  // namespace distillery
