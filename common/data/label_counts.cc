#include "common/data/label_counts.h"

#include "common/base/packed_number.h"
#include "common/base/status_macros.h"
#include "common/data/record_rows.h"

namespace distillery {
namespace {

// Adds the label of a record, which stands at its end.
void AddLabel(const Dataset& dataset, const uint8_t* record, std::vector<int64_t>* counts) {
  const SampleSpec& spec = dataset.spec();
  const uint8_t* const label = record + spec.input_bytes();
  const int64_t positions = spec.answer.position_count();
  if (spec.answer.kind == AnswerKind::kMultilabel) {
    const int64_t labels = dataset.class_count();
    for (int64_t i = 0; i < positions * labels; ++i) (*counts)[i % labels] += label[i];
    return;
  }
  for (int64_t i = 0; i < positions; ++i) {
    const auto wanted = NumberAt<int32_t>(label, i);
    if (wanted >= 0 && wanted < dataset.class_count()) ++(*counts)[wanted];
  }
}

}  // namespace

absl::StatusOr<std::vector<int64_t>> CountLabels(const Dataset& dataset) {
  std::vector<int64_t> counts;
  const AnswerSpec& answer = dataset.spec().answer;
  if (answer.kind == AnswerKind::kValues) return counts;
  counts.resize(static_cast<size_t>(dataset.class_count()));
  if (answer.one_class()) {
    for (int64_t row = 0; row < dataset.size(); ++row) ++counts[dataset.Label(row)];
    return counts;
  }
  DISTILLERY_RETURN_IF_ERROR(ForEachRecord(dataset, [&](int64_t /*row*/, const uint8_t* record) {
    AddLabel(dataset, record, &counts);
  }));
  return counts;
}

}  // namespace distillery
