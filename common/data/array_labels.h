// The labels of a data set of arrays: from their type and shape follows what a model is to answer.
//
//   whole numbers [samples]                       one class for a sample
//   whole numbers [samples, length]               a class for each position, -100: none
//   whole numbers [samples, height, width]        the same
//   bools [samples, (positions ...,) labels]      multilabel; with labels.txt bytes of 0 and 1 too
//   floats [samples], [samples, (positions ...,) n]   values
#pragma once

#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/data/array_source.h"
#include "common/data/sample_spec.h"

namespace distillery {

class ArrayLabels {
 public:
  // `folder` holds the files of names. `pixels`: [height, width] if samples are pictures, which are
  // the positions that there can be; else nothing.
  ArrayLabels(const ArraySource* source, std::string folder, std::vector<int64_t> pixels)
      : source_(source), folder_(std::move(folder)), pixels_(std::move(pixels)) {}

  // Learns from the labels of both splits what the answer is and what its numbers are called.
  // INVALID_ARGUMENT, naming the file: what the rule does not cover or leaves open, with the way
  // out; labels and names that do not fit together.
  absl::Status Learn();

  const AnswerSpec& answer() const { return answer_; }
  // Of classes, labels or values: of classes.txt, labels.txt or values.txt, or numbers.
  const std::vector<std::string>& names() const { return names_; }
  // The files of names that were read.
  const std::set<std::string>& files() const { return files_; }

  // Opens the labels of a split.
  absl::StatusOr<std::unique_ptr<ArrayInput>> Open(const std::string& split) const;
  // Writes the label of a row of `array` as records have it, to output [label_bytes], or if there
  // is one class to `label`. INVALID_ARGUMENT, with sample and position, for what is none.
  absl::Status Store(const ArrayInput& array, int64_t row, absl::string_view bytes, uint8_t* output,
                     int32_t* label) const;
  // The same for a mask of the positions: labels where it is 0 become kNoLabel. Other numbers than
  // 0 and 1 are INVALID_ARGUMENT.
  absl::Status Mask(const ArrayInput& array, int64_t row, absl::string_view bytes,
                    uint8_t* output) const;

 private:
  absl::Status LookForNames();
  // What the header alone says.
  absl::StatusOr<AnswerSpec> AnswerOf(const ArrayInput& array) const;
  // How many numbers an answer has, as the header says; 0 of classes.
  int64_t AnswersOf(const ArrayInput& array) const;
  absl::Status LearnClasses(const std::string& split, int64_t* largest);
  absl::Status SetNames(int64_t count);
  absl::Status NoClass(const ArrayInput& array, int64_t row, int64_t element, int64_t label) const;
  // "train_labels.npy: sample 3, position [2, 7]"
  std::string PlaceOf(const ArrayInput& array, int64_t row, int64_t position) const;

  const ArraySource* const source_;
  const std::string folder_;
  const std::vector<int64_t> pixels_;
  bool has_classes_file_ = false;
  bool has_labels_file_ = false;
  AnswerSpec answer_;
  std::vector<std::string> names_;
  std::set<std::string> files_;
};

}  // namespace distillery
