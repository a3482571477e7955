#include "common/soft_targets/encode.h"

namespace distillery {

void EncodeSoftTargets(const float* logits, int64_t rows, const AnswerShape& shape,
                       const SoftTargetFormat& format, const EncodedBuffers& output) {
  if (format.representation == Representation::kNone) return;
  SpecOf(format.encoding)
      .encode(
          {logits, rows * shape.positions(), shape.classes, static_cast<float>(format.temperature),
           format.representation == Representation::kProbabilities, format.top_k,
           shape.answer.kind == AnswerKind::kMultilabel},
          output);
}

EncodedRows RowsFor(int64_t rows, const AnswerShape& shape, const SoftTargetFormat& format) {
  const EncodedSizes sizes = format.SizesOf(rows, shape);
  EncodedRows encoded;
  for (const TensorRole role : kTensorRoles) encoded[role].resize(static_cast<size_t>(sizes[role]));
  return encoded;
}

EncodedBuffers BuffersOf(EncodedRows& rows) {
  return {rows.values.data(), rows.row_scales.data(), rows.class_indexes.data(),
          rows.tail_mass.data()};
}

EncodedRows EncodeSoftTargets(const float* logits, int64_t rows, const AnswerShape& shape,
                              const SoftTargetFormat& format) {
  EncodedRows encoded = RowsFor(rows, shape, format);
  EncodeSoftTargets(logits, rows, shape, format, BuffersOf(encoded));
  return encoded;
}

}  // namespace distillery
