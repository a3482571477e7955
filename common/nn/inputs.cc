#include "common/nn/inputs.h"

#include <torch/types.h>

#include "common/base/status_macros.h"
#include "common/data/numbers.h"
#include "common/nn/normaliser.h"

namespace distillery {

std::vector<int64_t> LabelShape(const AnswerSpec& answer, int64_t rows, int64_t answers) {
  std::vector<int64_t> shape = {rows};
  shape.insert(shape.end(), answer.positions.begin(), answer.positions.end());
  if (SpecOf(answer.kind).labels_each) shape.push_back(answers);
  return shape;
}

at::ScalarType LabelScalarType(const AnswerSpec& answer) {
  return LabelType(answer) == ElementType::kInt64 ? at::kLong : at::kFloat;
}

absl::StatusOr<LoadedSamples> LoadSamples(const Dataset& dataset, const std::vector<int64_t>& rows,
                                          const View& view) {
  return LoadSamples(dataset, rows, view, dataset.spec().inputs);
}

absl::StatusOr<LoadedSamples> LoadSamples(const Dataset& dataset, const std::vector<int64_t>& rows,
                                          const View& view, const std::vector<InputSpec>& taken) {
  const AnswerSpec& answer = dataset.spec().answer;
  const auto count = static_cast<int64_t>(rows.size());
  LoadedSamples samples;
  SampleNumbers numbers;
  for (const InputSpec& input : taken) {
    samples.inputs.push_back(torch::empty(BatchShape(input, count), ScalarTypeOf(input)));
    numbers.inputs.push_back(samples.inputs.back().data_ptr());
  }
  samples.labels =
      torch::empty(LabelShape(answer, count, dataset.class_count()), LabelScalarType(answer));
  numbers.labels = samples.labels.data_ptr();
  DISTILLERY_RETURN_IF_ERROR(LoadNumbers(dataset, rows, view, taken, numbers));
  return samples;
}

}  // namespace distillery
