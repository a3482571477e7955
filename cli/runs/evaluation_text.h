// What an evaluation measured, as people read it: the figures that its kind of answers has.
#pragma once

#include <string>
#include <vector>

#include "common/run/evaluation_metrics.h"

namespace distillery {

struct FigureText {
  // "accuracy", "mean IoU", "R2".
  std::string name;
  std::string text;
};

// The most telling first. Of one class for a sample: accuracy, errors and cross entropy. Empty if
// nothing was evaluated.
std::vector<FigureText> FigureTexts(const EvaluationMetrics& metrics);
// The first of them in few characters: "97.23 %", and "MSE 0.0123" of values; "-" if there is none.
std::string MainFigure(const EvaluationMetrics& metrics);
// A table's columns for evaluations: the names of the first of them that measured something; those
// of one class for a sample if none did.
std::vector<std::string> FigureNames(const std::vector<EvaluationMetrics>& evaluations);
// The texts under these names; "-" where there is none.
std::vector<std::string> TextsUnder(const std::vector<std::string>& names,
                                    const EvaluationMetrics& metrics);

}  // namespace distillery
