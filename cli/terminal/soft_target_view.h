// Soft targets as people look at them: numbers and bars in a terminal, or an SVG picture.
//
// Bars are for one answer of classes, or of labels; answer_view.h has the other kinds.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace distillery {

struct SoftTargetView {
  // What was asked for, such as "digits/test 12".
  std::string sample;
  std::vector<std::string> class_names;
  // Class of the hard label, if it is known.
  std::optional<int64_t> label;
  // Of several labels: 1 for each that is right; empty: not known.
  std::vector<float> right;
  struct Row {
    double temperature = 1;
    // softmax(z/T), one per class, or sigmoid(z/T), one per label.
    std::vector<float> probabilities;
  };
  std::vector<Row> rows;
};

// A block of lines per temperature, the hard label first; a bar is `bar_width` characters at 100 %.
std::string FormatBars(const SoftTargetView& view, size_t bar_width = 30);
// One panel per temperature, side by side, the hard label first.
std::string FormatSvg(const SoftTargetView& view);
std::string ViewToJson(const SoftTargetView& view);

}  // namespace distillery
