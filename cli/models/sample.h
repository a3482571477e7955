// One sample as a model's input: of a data set, of a file, or typed in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/dataset.h"

namespace distillery {

// The numbers of one input, as a model takes them (ModelType): of pictures pixels in 0..1.
using InputNumbers = std::variant<std::vector<float>, std::vector<int64_t>, std::vector<uint8_t>>;

struct Sample {
  // "digits/test 12", or the file's name.
  std::string name;
  // What it is made of, and what is answered for it.
  SampleSpec spec;
  // One for each input, in order.
  std::vector<InputNumbers> inputs;
  // Of a table read from CSV, the names of its features: "age", "colour=red". Else empty.
  std::vector<std::string> feature_names;
  // Hard labels, which only samples of data sets have. Of classes one for each position, kNoLabel
  // where there is none; class_names[label] is its name.
  std::vector<int64_t> labels;
  // Of several labels and of values: a number for each of each position.
  std::vector<float> label_numbers;
  std::vector<std::string> class_names;

  // Of one class for a sample.
  std::optional<int64_t> label() const {
    if (!spec.answer.one_class() || labels.empty()) return std::nullopt;
    return labels.front();
  }
  // REQUIRES: spec.is_picture().
  const std::vector<float>& pixels() const { return std::get<std::vector<float>>(inputs.front()); }
};

// The index-th sample of "NAME/SPLIT" in its order, its pictures in the sizes of those of the
// inputs `taken` where these are smaller (InSizesOf). NOT_FOUND for an unknown data set, split or
// index.
absl::StatusOr<Sample> ReadDatasetSample(const std::string& dataset, const std::string& split,
                                         const std::string& data_dir, int64_t index,
                                         const std::vector<InputSpec>& taken = {});

// Several of them.
absl::StatusOr<std::vector<Sample>> ReadDatasetSamples(const std::string& dataset,
                                                       const std::string& split,
                                                       const std::string& data_dir,
                                                       const std::vector<int64_t>& indexes,
                                                       const std::vector<InputSpec>& taken = {});

// The same, of a data set that is open.
absl::StatusOr<std::vector<Sample>> ReadSamplesOf(const Dataset& dataset,
                                                  const std::string& data_dir,
                                                  const std::vector<int64_t>& indexes,
                                                  const std::vector<InputSpec>& taken = {});

}  // namespace distillery
