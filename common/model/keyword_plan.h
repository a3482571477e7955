// Small networks for recordings.
//
// dscnn:CHANNELS-BLOCKS, a depthwise separable convolutional network for spectrograms (Zhang et
// al., "Hello Edge: keyword spotting on microcontrollers", 2017): a convolution of 4 bands x 10
// frames with stride 2, then BLOCKS (4 if left out) of a depthwise 3 x 3 convolution and a
// pointwise one, each convolution with BatchNorm and ReLU, then the mean over all places.
//
// conv1d:CHANNELS, the network M5 for raw sound (Dai et al., "Very deep convolutional neural
// networks for raw waveforms", 2017): a convolution of 80 samples with stride 4, then three of 3
// with 1, 2 and 4 times the channels, each with BatchNorm, ReLU and max pooling by 4, then the mean
// over the time. Padding of the last three keeps the length.
//
// `dropout` of both is that before the last layer.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/sample_spec.h"
#include "common/model/plan_builder.h"

namespace distillery {

// INVALID_ARGUMENT for sizes that cannot be; for data other than pictures, or float numbers
// [channels, bands, frames] of at least 4 x 10, with one answer each. REQUIRES: the name starts
// with "dscnn:".
absl::StatusOr<std::vector<Layer>> PlanDscnn(const std::string& name,
                                             const ArchitectureOptions& options,
                                             const SampleSpec& spec, int64_t answers);
// INVALID_ARGUMENT for sizes that cannot be; for data other than float numbers [samples] or
// [channels, samples], at least 1,100 samples, with one answer each. REQUIRES: the name starts with
// "conv1d:".
absl::StatusOr<std::vector<Layer>> PlanConv1d(const std::string& name,
                                              const ArchitectureOptions& options,
                                              const SampleSpec& spec, int64_t answers);

}  // namespace distillery
