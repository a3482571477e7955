// Samples as the numbers that a model takes and learns, from the bytes of their records.
//
// A picture's pixels become float32 in 0..1 (ScalePixels), in the size that the model takes; floats
// become float32; whole numbers int64; other bytes stay uint8. All programs get samples here or by
// LoadRecords and LoadPictures, seen through a view, so that teacher and student see the same.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "common/data/augmentation.h"
#include "common/data/dataset.h"

namespace distillery {

// kFloat32, kInt64 or kUInt8: what a model takes of the input.
ElementType ModelType(const InputSpec& input);
// Bytes of one sample's, as the model takes it.
int64_t ModelBytes(const InputSpec& input);
// What is learned: kInt64 for classes, kNoLabel where there is none; kFloat32 for labels (0 or 1)
// and values.
ElementType LabelType(const AnswerSpec& answer);
// Numbers of a sample's hard label: one, or one for each position, or `answers` for each of them.
int64_t LabelCount(const AnswerSpec& answer, int64_t answers);

// Where the numbers of samples go.
struct SampleNumbers {
  // For each input taken, in order: rows * InputSpec::elements() numbers of ModelType.
  std::vector<void*> inputs;
  // rows * LabelCount numbers of LabelType; null: not wanted.
  void* labels = nullptr;
};

// Errors as Augmentation::CheckSuits.
absl::Status CheckView(const Dataset& dataset, const View& view);

// Reads rows of `dataset` seen through `view` as a model takes them whose card has the inputs
// `taken`: those of the data set, of which pictures may be smaller and are then shrunk
// (picture_lens.h). Errors as CheckView, PictureLens::Create and Dataset::ReadRecords;
// INVALID_ARGUMENT for other inputs.
absl::Status LoadNumbers(const Dataset& dataset, const std::vector<int64_t>& rows, const View& view,
                         const std::vector<InputSpec>& taken, const SampleNumbers& output);
// The same with pictures in the size of the data set.
absl::Status LoadNumbers(const Dataset& dataset, const std::vector<int64_t>& rows, const View& view,
                         const SampleNumbers& output);

// (number - mean) / deviation for `rows` samples of one input, in place; one mean and one deviation
// for each channel.
void Normalise(const InputSpec& input, const float* mean, const float* deviation, int64_t rows,
               float* numbers);

}  // namespace distillery
