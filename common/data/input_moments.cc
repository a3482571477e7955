#include "common/data/input_moments.h"

#include <cmath>

#include "common/base/status_macros.h"
#include "common/data/number_sums.h"
#include "common/data/record_rows.h"

namespace distillery {
namespace {

// `scale`: what stands for 1.
Moments MomentsOf(const NumberSums& sums, double count, double scale) {
  const double variance = sums.Variance(count);
  return {static_cast<float>(sums.Mean(count) / scale),
          variance > 0 ? static_cast<float>(std::sqrt(variance) / scale) : 1.0F};
}

}  // namespace

absl::StatusOr<std::vector<Moments>> InputMoments(const Dataset& dataset) {
  const SampleSpec& spec = dataset.spec();
  int64_t channels = 0;
  for (const InputSpec& input : spec.inputs) channels += input.channels();
  std::vector<NumberSums> sums(static_cast<size_t>(channels));
  if (channels > 0 && !spec.is_picture()) {
    DISTILLERY_RETURN_IF_ERROR(ForEachRecord(dataset, [&](int64_t /*row*/, const uint8_t* record) {
      ForEachNumber(spec, record, [&](int64_t channel, float number) {
        sums[static_cast<size_t>(channel)].Add(static_cast<double>(number));
      });
    }));
  }
  std::vector<Moments> moments;
  const auto samples = static_cast<double>(dataset.size());
  for (const InputSpec& input : spec.inputs) {
    if (input.channels() == 0) continue;
    const int64_t plane = input.elements() / input.channels();
    const double count = samples * static_cast<double>(plane);
    for (int64_t channel = 0; channel < input.channels(); ++channel) {
      NumberSums& of_channel = sums[moments.size()];
      if (spec.is_picture()) {
        const ChannelSums& exact = dataset.channel_sums()[static_cast<size_t>(channel)];
        of_channel = {0, static_cast<double>(exact.values), static_cast<double>(exact.squares)};
      }
      moments.push_back(MomentsOf(of_channel, count, input.is_picture() ? input.pixel_max : 1));
    }
  }
  return moments;
}

}  // namespace distillery
