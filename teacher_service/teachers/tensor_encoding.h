// EncodeSoftTargets (common/soft_targets/encode.h) by tensor operations, on the device where the
// logits are, so that less has to be copied back: 66 bytes of 4,000 for the 16 largest of 1,000
// classes.
#pragma once

#include <ATen/ATen.h>

#include "common/soft_targets/format.h"

namespace distillery {

// Those that the format does not have are undefined; all are on the logits' device.
using EncodedTensors = PerTensor<at::Tensor>;

// logits float32 [rows, positions..., classes], finite, of a kind. As EncodeSoftTargets in types
// and bytes, with a row for each position; classes of kTopK are the same, of equal logits the lower
// first. z/T is the same float32 division; probabilities come from sums in float64 in another
// order, so that values may differ by one unit in the last place of their encoding. REQUIRES:
// format.Validate(classes) is OK; the representation is not kNone.
EncodedTensors EncodeTensors(const at::Tensor& logits, const SoftTargetFormat& format,
                             AnswerKind kind = AnswerKind::kClasses);

// Rounds to float16 as FloatToHalf does, which saturates; but what is not finite stays so.
at::Tensor ToHalf(const at::Tensor& values);

}  // namespace distillery
