#include "cli/runs/evaluation_text.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/terminal/text_table.h"

namespace distillery {
namespace {

using Evaluated = EvaluationMetrics;

bool OfOneChoice(const Evaluated& metrics) {
  return metrics.label_count == 0 && metrics.value_count == 0;
}

std::string FixedText(double value) { return absl::StrFormat("%.4f", value); }

struct FigureRow {
  const char* name;
  bool (*has)(const Evaluated& metrics);
  std::string (*text)(const Evaluated& metrics);
};

constexpr FigureRow kFigureRows[] = {
    {"mean IoU", [](const Evaluated& m) { return m.iou_class_count > 0; },
     [](const Evaluated& m) { return FixedText(m.mean_iou); }},
    {"mean average precision", [](const Evaluated& m) { return m.ranked_label_count > 0; },
     [](const Evaluated& m) { return FixedText(m.mean_average_precision); }},
    {"micro F1", [](const Evaluated& m) { return m.label_count > 0; },
     [](const Evaluated& m) { return FixedText(m.micro_f1); }},
    {"macro F1", [](const Evaluated& m) { return m.label_count > 0; },
     [](const Evaluated& m) { return FixedText(m.macro_f1); }},
    {"mean squared error", [](const Evaluated& m) { return m.value_count > 0; },
     [](const Evaluated& m) { return absl::StrFormat("%.6g", m.mean_squared_error); }},
    {"R2", [](const Evaluated& m) { return m.value_count > 0; },
     [](const Evaluated& m) { return FixedText(m.r2); }},
    {"cosine", [](const Evaluated& m) { return m.value_count > 0; },
     [](const Evaluated& m) { return FixedText(m.cosine); }},
    {"accuracy", &OfOneChoice,
     [](const Evaluated& m) { return FormatShare(m.correct_answer_count(), m.answer_count()); }},
    {"errors", &OfOneChoice,
     [](const Evaluated& m) { return absl::StrCat(m.answer_count() - m.correct_answer_count()); }},
    {"perplexity", [](const Evaluated& m) { return m.has_perplexity(); },
     [](const Evaluated& m) { return FixedText(m.perplexity()); }},
    {"cross entropy", [](const Evaluated& m) { return m.value_count == 0; },
     [](const Evaluated& m) { return FixedText(m.cross_entropy); }},
    {"all labels right", [](const Evaluated& m) { return m.label_count > 0; },
     [](const Evaluated& m) { return FormatShare(m.correct_answer_count(), m.answer_count()); }},
    {"whole samples right",
     [](const Evaluated& m) { return m.position_count > 0 && m.value_count == 0; },
     [](const Evaluated& m) { return FormatShare(m.correct_count, m.sample_count); }},
};

}  // namespace

std::vector<FigureText> FigureTexts(const EvaluationMetrics& metrics) {
  std::vector<FigureText> figures;
  if (metrics.sample_count == 0) return figures;
  for (const FigureRow& row : kFigureRows) {
    if (row.has(metrics)) figures.push_back({row.name, row.text(metrics)});
  }
  return figures;
}

std::string MainFigure(const EvaluationMetrics& metrics) {
  if (metrics.sample_count == 0) return "-";
  if (metrics.value_count > 0) return absl::StrFormat("MSE %.4g", metrics.mean_squared_error);
  if (metrics.label_count > 0) return absl::StrFormat("F1 %.4f", metrics.micro_f1);
  return FormatShare(metrics.correct_answer_count(), metrics.answer_count());
}

std::vector<std::string> FigureNames(const std::vector<EvaluationMetrics>& evaluations) {
  const auto measured =
      std::find_if(evaluations.begin(), evaluations.end(),
                   [](const EvaluationMetrics& metrics) { return metrics.sample_count > 0; });
  if (measured == evaluations.end()) return {"accuracy", "errors", "cross entropy"};
  std::vector<std::string> names;
  for (FigureText& figure : FigureTexts(*measured)) names.push_back(std::move(figure.name));
  return names;
}

std::vector<std::string> TextsUnder(const std::vector<std::string>& names,
                                    const EvaluationMetrics& metrics) {
  const std::vector<FigureText> figures = FigureTexts(metrics);
  std::vector<std::string> texts;
  for (const std::string& name : names) {
    const auto figure = std::find_if(figures.begin(), figures.end(),
                                     [&](const FigureText& one) { return one.name == name; });
    texts.push_back(figure == figures.end() ? "-" : figure->text);
  }
  return texts;
}

}  // namespace distillery
