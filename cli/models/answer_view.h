// What a model answers for a sample, as people look at it: one row of a table for each kind of
// answer and of positions.
//
//   classes, multilabel   each with its probability
//   values                the numbers
//   [length]              a line for each token with its likeliest classes
//   [height, width]       the likeliest classes over the picture
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/models/sample.h"
#include "common/data/image.h"
#include "nlohmann/json_fwd.hpp"

namespace distillery {

// One model's answer for one sample.
struct Answer {
  double temperature = 1;
  // [positions, answers]: softmax(z/T), of several labels sigmoid(z/T), of values the numbers.
  std::vector<float> numbers;
};

struct AnswerView {
  Sample sample;
  // The model's: its kind and positions, and the names of its numbers.
  AnswerSpec answer;
  std::vector<std::string> class_names;
  // At one or several temperatures; of values one.
  std::vector<Answer> answers;

  // The class of the largest number at each position; of equal ones the first.
  std::vector<int64_t> Choices() const;
};

// The probabilities, or values, that logits [positions, answers] say at temperature 1.
std::vector<float> ProbabilitiesOf(const AnswerSpec& answer, std::vector<float> logits,
                                   size_t answers);

// "e 45.12 %, o 20.10 %": of one position the `most` likeliest classes, the labels in the order of
// their probability, or the values by their names.
std::string PositionText(const AnswerView& view, const float* numbers, size_t most);

// A block of lines, for all but one answer of classes or labels, whose bars soft_target_view.h
// draws. Positions beyond the first are counted.
std::string AnswerText(const AnswerView& view);

// All numbers, with the sample's.
nlohmann::ordered_json AnswerToJson(const AnswerView& view);

// A picture [height, width] of classes as characters: 1 to 9 and letters for classes above 0; where
// there is none, the shade of the picture. Rows and columns are left out where there are too many.
std::string MaskText(const Sample& sample, const std::vector<int64_t>& classes);

// The picture, that with the hard label over it if there is one, and that with the likeliest
// classes, side by side. INVALID_ARGUMENT unless the answer is classes at [height, width].
absl::StatusOr<Image> DrawAnswer(const AnswerView& view);
absl::Status CheckDrawable(const AnswerSpec& answer);

}  // namespace distillery
