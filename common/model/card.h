// The model card `distillery.json`, carried by every model file as a TorchScript extra file.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/sample_spec.h"
#include "common/soft_targets/answer_shape.h"

namespace distillery {

class Dataset;

// One step into what a model answers: the key of a dict or the field of a named tuple, or the index
// of a tuple, a list or a dict of numbers.
using OutputStep = std::variant<int64_t, std::string>;

struct ModelCard {
  // Built-in architecture, or "" for a model made elsewhere.
  std::string architecture;
  // What it takes and answers. Of a picture the pixel_max says nothing: pixels come in 0..1.
  SampleSpec samples;
  // For each channel (InputSpec::channels) of each input, in order: the model's input is
  // (number - mean) / deviation, a pixel being in 0..1.
  std::vector<float> mean;
  std::vector<float> deviation;
  // In the order of the outputs.
  std::vector<std::string> class_names;
  // The model's outputs are softmax probabilities, not logits; their logarithm is used.
  bool outputs_probabilities = false;
  // The path to the output that counts, from the outside in; empty: the model answers with one
  // tensor.
  std::vector<OutputStep> output_key;
  // Believe what `outputs_probabilities` says of that output, however its values look.
  // Probabilities may then also be votes or percentages: any numbers >= 0 that are in proportion to
  // them.
  bool trust_output = false;
  // The type that forward takes: "float16", "bfloat16", "float32" or "float64". Empty: float32 if
  // the model takes that, else the type of its own numbers. Loading a model sets it in that case,
  // unless the type is float32.
  std::string input_type;

  int64_t class_count() const { return static_cast<int64_t>(class_names.size()); }
  // Of the logits of one sample.
  AnswerShape answer_shape() const { return {samples.answer, class_count()}; }
  // Numbers in them: class_count() for each position.
  int64_t row_values() const { return samples.answer.position_count() * class_count(); }
};

// The card of a model trained on `dataset`: its samples, answers and classes, mean and deviation of
// its numbers. A model whose pictures are smaller has the same mean and deviation: those of the
// pixels as they are stored. Errors as InputMoments.
absl::StatusOr<ModelCard> CardForDataset(const Dataset& dataset, const std::string& architecture);

// INVALID_ARGUMENT, naming both, if the model takes other samples than the data set has or answers
// otherwise, with another number of classes, or other classes: see CheckSameClasses. Pictures may
// be smaller than those of the data set, which are then shrunk (picture_sizes.h), but not larger.
absl::Status CheckFits(const ModelCard& card, const Dataset& dataset);

// Class names, with the name of their owner for error messages: "the model", "data set pets".
struct ClassList {
  std::string owner;
  const std::vector<std::string>& names;
};

// Answers are told apart by number alone, so class i must be the same class in both lists.
// INVALID_ARGUMENT with both lists if their lengths differ, or their names, or the order of these.
// A list "0", "1" ... is that of a data set without names: it fits any other list of its length,
// unless that has one of these numbers in another place.
absl::Status CheckSameClasses(const ClassList& a, const ClassList& b);

// Readable JSON.
std::string ModelCardToJson(const ModelCard& card);
// Strict: INVALID_ARGUMENT names the missing, unknown or wrong key.
absl::StatusOr<ModelCard> ParseModelCard(const std::string& json);

}  // namespace distillery
