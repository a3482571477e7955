// Logits to soft targets as they go over the wire: little-endian, row-major.
//
// Threads: safe for all. Nothing fails: what is not finite in the logits is still not finite, or
// saturated, in the rows, and the decoder refuses it; a teacher checks its outputs before.
#pragma once

#include <cstdint>

#include "common/soft_targets/format.h"

namespace distillery {

// Empty rows of the sizes that the format asks for, and where they are written to.
EncodedRows RowsFor(int64_t rows, const AnswerShape& shape, const SoftTargetFormat& format);
EncodedBuffers BuffersOf(EncodedRows& rows);

// logits z [rows, positions..., classes] -> v = z/T by float32 division, or softmax(z/T) with sums
// in double, of labels sigmoid(z/T), in the encoding asked for, for each position by itself:
//   int8:  scale = max|v| / 127, q = v/scale to nearest even; scale 0 has bytes 0.
//   top-k: the largest of softmax(z/T), of equal ones the lower class first, and the sum of the
//          others, added up by themselves (1 - sum would leave nothing of a small tail).
// REQUIRES: format.Validate(shape) is OK.
EncodedRows EncodeSoftTargets(const float* logits, int64_t rows, const AnswerShape& shape,
                              const SoftTargetFormat& format);
// The same into the caller's memory, format.SizesOf(rows, shape) bytes for each tensor.
void EncodeSoftTargets(const float* logits, int64_t rows, const AnswerShape& shape,
                       const SoftTargetFormat& format, const EncodedBuffers& output);

}  // namespace distillery
