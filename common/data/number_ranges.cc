#include "common/data/number_ranges.h"

#include <algorithm>
#include <cmath>

#include "common/base/packed_number.h"
#include "common/base/status_macros.h"
#include "common/data/number_sums.h"
#include "common/data/numbers.h"
#include "common/data/record_rows.h"

namespace distillery {
namespace {

// Of one channel.
struct RangeSums {
  int64_t count = 0;
  double low = 0;
  double high = 0;
  NumberSums sums;

  void Add(double number) {
    low = count == 0 ? number : std::min(low, number);
    high = count == 0 ? number : std::max(high, number);
    ++count;
    sums.Add(number);
  }
  NumberRange Finish() const {
    const auto n = static_cast<double>(std::max<int64_t>(1, count));
    return {low, high, sums.Mean(n), std::sqrt(std::max(0.0, sums.Variance(n)))};
  }
};

}  // namespace

absl::StatusOr<NumberRanges> MeasureNumbers(const Dataset& dataset) {
  const SampleSpec& spec = dataset.spec();
  const bool values = spec.answer.kind == AnswerKind::kValues;
  const int64_t answers = dataset.class_count();
  const int64_t labels = values ? LabelCount(spec.answer, answers) : 0;
  int64_t channels = 0;
  // Other than those of pictures, which are not asked for.
  int64_t wanted = 0;
  for (const InputSpec& input : spec.inputs) {
    channels += input.channels();
    if (!input.is_picture()) wanted += input.channels();
  }
  std::vector<RangeSums> sums(static_cast<size_t>(channels));
  std::vector<RangeSums> label_sums(values ? static_cast<size_t>(answers) : 0);
  if (wanted > 0 || values) {
    DISTILLERY_RETURN_IF_ERROR(ForEachRecord(dataset, [&](int64_t /*row*/, const uint8_t* record) {
      if (wanted > 0) {
        ForEachNumber(spec, record, [&](int64_t channel, float number) {
          sums[static_cast<size_t>(channel)].Add(static_cast<double>(number));
        });
      }
      const uint8_t* const label = record + spec.input_bytes();
      for (int64_t i = 0; i < labels; ++i) {
        label_sums[static_cast<size_t>(i % answers)].Add(
            static_cast<double>(NumberAt<float>(label, i)));
      }
    }));
  }
  NumberRanges ranges;
  auto next = sums.begin();
  for (const InputSpec& input : spec.inputs) {
    std::vector<NumberRange>& of_input = ranges.inputs.emplace_back();
    for (int64_t i = 0; i < input.channels(); ++i, ++next) {
      if (!input.is_picture()) of_input.push_back(next->Finish());
    }
  }
  ranges.values.reserve(label_sums.size());
  for (const RangeSums& value : label_sums) ranges.values.push_back(value.Finish());
  return ranges;
}

}  // namespace distillery
