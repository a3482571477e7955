#include "cli/models/answer_view.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "cli/models/sample_text.h"
#include "cli/terminal/text_table.h"
#include "common/data/mask_picture.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

using Json = nlohmann::ordered_json;

// Positions of [length] that are shown.
constexpr int64_t kMostTokens = 64;
// Classes of each of them, at each temperature.
constexpr size_t kMostChoices = 3;

const float* PositionOf(const AnswerView& view, const Answer& answer, int64_t position) {
  return &answer.numbers[static_cast<size_t>(position) * view.class_names.size()];
}

bool IsMask(const AnswerSpec& answer) {
  return answer.kind == AnswerKind::kClasses && answer.positions.size() == 2;
}

std::vector<size_t> Likeliest(const float* numbers, size_t count, size_t most) {
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return numbers[a] > numbers[b]; });
  order.resize(std::min(count, most));
  return order;
}

std::string NameOfLabel(const AnswerView& view, int64_t label) {
  if (label == kNoLabel) return "-";
  const auto at = static_cast<size_t>(label);
  return at < view.class_names.size() ? view.class_names[at] : absl::StrCat(label);
}

// The hard label of one position: a class, or what numbers say.
std::string LabelText(const AnswerView& view, int64_t position) {
  const Sample& sample = view.sample;
  if (!sample.labels.empty()) {
    return NameOfLabel(view, sample.labels[static_cast<size_t>(position)]);
  }
  const size_t width = view.class_names.size();
  const float* const numbers = &sample.label_numbers[static_cast<size_t>(position) * width];
  if (view.answer.kind == AnswerKind::kValues) return PositionText(view, numbers, width);
  std::vector<std::string> right;
  for (size_t i = 0; i < width; ++i) {
    if (numbers[i] == 1.0F) right.push_back(view.class_names[i]);
  }
  return right.empty() ? "none" : absl::StrJoin(right, ", ");
}

bool Labelled(const AnswerView& view) {
  return !view.sample.labels.empty() || !view.sample.label_numbers.empty();
}

// "e 45, o 20": per cent without the sign, for narrow columns.
std::string ShortText(const AnswerView& view, const float* numbers) {
  if (view.answer.kind == AnswerKind::kValues) {
    return PositionText(view, numbers, view.class_names.size());
  }
  std::vector<std::string> texts;
  for (const size_t i : Likeliest(numbers, view.class_names.size(), kMostChoices)) {
    texts.push_back(
        absl::StrFormat("%s %.0f", view.class_names[i], 100.0 * static_cast<double>(numbers[i])));
  }
  return absl::StrJoin(texts, ", ");
}

std::string ValuesText(const AnswerView& view) {
  const bool labelled = Labelled(view);
  std::vector<std::vector<std::string>> rows = {{"value", "answer"}};
  if (labelled) rows[0].push_back("label");
  for (size_t i = 0; i < view.class_names.size(); ++i) {
    rows.push_back(
        {view.class_names[i], NumberText(static_cast<double>(view.answers.front().numbers[i]))});
    if (labelled) {
      rows.back().push_back(NumberText(static_cast<double>(view.sample.label_numbers[i])));
    }
  }
  return FormatTable(rows);
}

std::string TokensText(const AnswerView& view) {
  const bool values = view.answer.kind == AnswerKind::kValues;
  const int64_t filled = std::min(FilledLength(view.sample), view.answer.position_count());
  const int64_t most = std::min(filled, kMostTokens);
  std::vector<std::vector<std::string>> rows = {{"at", "token"}};
  if (Labelled(view)) rows[0].push_back("label");
  for (const Answer& answer : view.answers) {
    rows[0].push_back(values ? "answer" : absl::StrCat("T = ", answer.temperature, ", %"));
  }
  for (int64_t i = 0; i < most; ++i) {
    std::vector<std::string>& row = rows.emplace_back();
    row = {absl::StrCat(i), TokenAt(view.sample, i)};
    if (Labelled(view)) row.push_back(LabelText(view, i));
    for (const Answer& answer : view.answers) {
      row.push_back(ShortText(view, PositionOf(view, answer, i)));
    }
  }
  std::string text = FormatTable(rows);
  if (filled > most) absl::StrAppend(&text, "... and ", filled - most, " more positions\n");
  const int64_t empty = view.answer.position_count() - filled;
  if (empty > 0) absl::StrAppend(&text, empty, " positions hold nothing\n");
  return text;
}

// How many positions have which class.
std::map<int64_t, int64_t> CountsOf(const std::vector<int64_t>& classes) {
  std::map<int64_t, int64_t> counts;
  for (const int64_t label : classes) ++counts[label];
  return counts;
}

std::string SymbolOf(int64_t label) {
  static constexpr absl::string_view kSymbols =
      "123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  const auto at = static_cast<size_t>(label - 1);
  return std::string(1, label > 0 && at < kSymbols.size() ? kSymbols[at] : '?');
}

std::string MaskAnswerText(const AnswerView& view) {
  const std::vector<int64_t> choices = view.Choices();
  const bool labelled = Labelled(view);
  std::string text;
  if (labelled) absl::StrAppend(&text, "hard label\n", MaskText(view.sample, view.sample.labels));
  absl::StrAppend(&text, labelled ? "\n" : "", "likeliest classes\n",
                  MaskText(view.sample, choices), "\n");
  std::map<int64_t, int64_t> chosen = CountsOf(choices);
  std::map<int64_t, int64_t> wanted = CountsOf(view.sample.labels);
  for (const auto& [label, count] : wanted) chosen.emplace(label, 0);
  std::vector<std::vector<std::string>> rows = {{"class", "sign", "pixels"}};
  if (labelled) rows[0].push_back("label");
  for (const auto& [label, count] : chosen) {
    if (label == kNoLabel) continue;
    rows.push_back(
        {NameOfLabel(view, label), label == 0 ? "" : SymbolOf(label), absl::StrCat(count)});
    if (labelled) rows.back().push_back(absl::StrCat(wanted[label]));
  }
  absl::StrAppend(&text, FormatTable(rows), "\n");
  for (const Answer& answer : view.answers) {
    double sum = 0;
    for (size_t i = 0; i < choices.size(); ++i) {
      sum += static_cast<double>(PositionOf(view, answer, static_cast<int64_t>(i))[choices[i]]);
    }
    absl::StrAppendFormat(&text, "T = %g: mean probability of the likeliest class %.2f %%\n",
                          answer.temperature, 100 * sum / static_cast<double>(choices.size()));
  }
  return text;
}

// Labels or values at [height, width]: the mean of each.
std::string PlaneText(const AnswerView& view) {
  const size_t width = view.class_names.size();
  std::vector<std::vector<std::string>> rows = {{"", "lowest", "mean", "highest"}};
  const std::vector<float>& numbers = view.answers.front().numbers;
  for (size_t k = 0; k < width; ++k) {
    double sum = 0;
    float low = numbers[k];
    float high = numbers[k];
    for (size_t i = k; i < numbers.size(); i += width) {
      sum += static_cast<double>(numbers[i]);
      low = std::min(low, numbers[i]);
      high = std::max(high, numbers[i]);
    }
    const double mean = sum * static_cast<double>(width) / static_cast<double>(numbers.size());
    rows.push_back({view.class_names[k], NumberText(static_cast<double>(low)), NumberText(mean),
                    NumberText(static_cast<double>(high))});
  }
  return FormatTable(rows);
}

// [positions..., answers] as lists within lists.
Json Nested(const std::vector<float>& numbers, const std::vector<int64_t>& sizes, size_t depth,
            size_t* at) {
  if (depth == sizes.size()) return numbers[(*at)++];
  Json list = Json::array();
  for (int64_t i = 0; i < sizes[depth]; ++i) list.push_back(Nested(numbers, sizes, depth + 1, at));
  return list;
}

Json Nested(const AnswerView& view, const std::vector<float>& numbers) {
  std::vector<int64_t> sizes = view.answer.positions;
  sizes.push_back(static_cast<int64_t>(view.class_names.size()));
  size_t at = 0;
  return Nested(numbers, sizes, 0, &at);
}

}  // namespace

std::vector<int64_t> AnswerView::Choices() const {
  const auto width = static_cast<int64_t>(class_names.size());
  std::vector<int64_t> choices;
  const std::vector<float>& numbers = answers.front().numbers;
  for (auto row = numbers.begin(); row != numbers.end(); row += width) {
    choices.push_back(std::max_element(row, row + width) - row);
  }
  return choices;
}

std::vector<float> ProbabilitiesOf(const AnswerSpec& answer, std::vector<float> logits,
                                   size_t answers) {
  if (answer.kind == AnswerKind::kValues) return logits;
  if (answer.kind == AnswerKind::kMultilabel) {
    for (float& z : logits) z = 1.0F / (1.0F + std::exp(-z));
    return logits;
  }
  for (size_t first = 0; first < logits.size(); first += answers) {
    float* const row = &logits[first];
    const float most = *std::max_element(row, row + answers);
    double sum = 0;
    for (size_t i = 0; i < answers; ++i) {
      row[i] = std::exp(row[i] - most);
      sum += static_cast<double>(row[i]);
    }
    for (size_t i = 0; i < answers; ++i) {
      row[i] = static_cast<float>(static_cast<double>(row[i]) / sum);
    }
  }
  return logits;
}

std::string PositionText(const AnswerView& view, const float* numbers, size_t most) {
  const size_t width = view.class_names.size();
  std::vector<std::string> texts;
  if (view.answer.kind == AnswerKind::kValues) {
    for (size_t i = 0; i < width; ++i) {
      texts.push_back(
          absl::StrCat(view.class_names[i], " = ", NumberText(static_cast<double>(numbers[i]))));
    }
    return absl::StrJoin(texts, ", ");
  }
  for (const size_t i : Likeliest(numbers, width, most)) {
    texts.push_back(absl::StrFormat("%s %.2f %%", view.class_names[i], 100 * numbers[i]));
  }
  return absl::StrJoin(texts, ", ");
}

std::string AnswerText(const AnswerView& view) {
  if (view.answer.positions.empty()) return ValuesText(view);
  if (view.answer.positions.size() == 1) return TokensText(view);
  return IsMask(view.answer) ? MaskAnswerText(view) : PlaneText(view);
}

Json AnswerToJson(const AnswerView& view) {
  Json json;
  json["sample"] = view.sample.name;
  json["inputs"] = Json::array();
  for (size_t i = 0; i < view.sample.inputs.size(); ++i) {
    json["inputs"].push_back(InputToJson(view.sample, i, /*all=*/true));
  }
  const AnswerKind kind = view.answer.kind;
  json["answer"] = {{"kind", std::string(SpecOf(kind).name)}, {"positions", view.answer.positions}};
  json["class_names"] = view.class_names;
  if (!view.sample.labels.empty()) {
    if (view.answer.positions.empty()) {
      json["label"] = view.sample.labels.front();
    } else {
      json["labels"] = view.sample.labels;
    }
  }
  if (!view.sample.label_numbers.empty()) {
    json["labels"] = Nested(view, view.sample.label_numbers);
  }
  if (kind == AnswerKind::kValues) {
    json["values"] = Nested(view, view.answers.front().numbers);
    return json;
  }
  for (const Answer& answer : view.answers) {
    json["soft_targets"].push_back(
        {{"temperature", answer.temperature}, {"probabilities", Nested(view, answer.numbers)}});
  }
  return json;
}

std::string MaskText(const Sample& sample, const std::vector<int64_t>& classes) {
  constexpr int64_t kMostColumns = 76;
  static constexpr const char* kShades[] = {" ", "░", "▒", "▓", "█"};
  const int64_t height = sample.spec.answer.positions[0];
  const int64_t width = sample.spec.answer.positions[1];
  const int64_t step = (std::max(width, height) + kMostColumns - 1) / kMostColumns;
  const std::optional<Image> picture = PictureOf(sample, height, width);
  std::string text;
  for (int64_t y = 0; y < height; y += step) {
    text += "  ";
    for (int64_t x = 0; x < width; x += step) {
      const auto at = static_cast<size_t>(y * width + x);
      const int64_t label = classes[at];
      const size_t shade = picture.has_value() ? picture->pixels[at] * size_t{5} / 256 : 0;
      text += label > 0 ? SymbolOf(label) : kShades[shade];
    }
    text.erase(text.find_last_not_of(' ') + 1);
    text += "\n";
  }
  if (step > 1) absl::StrAppend(&text, "  (one pixel of ", step, " in each direction)\n");
  return text;
}

absl::Status CheckDrawable(const AnswerSpec& answer) {
  if (IsMask(answer)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "only a class for each pixel can be drawn over the picture; this model answers otherwise");
}

absl::StatusOr<Image> DrawAnswer(const AnswerView& view) {
  constexpr int64_t kLeastSide = 256;
  constexpr uint8_t kLineShade = 128;
  if (absl::Status status = CheckDrawable(view.answer); !status.ok()) return status;
  const int64_t height = view.answer.positions[0];
  const int64_t width = view.answer.positions[1];
  std::optional<Image> picture = PictureOf(view.sample, height, width);
  if (!picture.has_value()) {
    picture = Image{{1, height, width}, std::vector<uint8_t>(static_cast<size_t>(height * width))};
  }
  std::vector<Image> panels = {
      DrawMask(*picture, std::vector<int64_t>(static_cast<size_t>(height * width)))};
  if (!view.sample.labels.empty()) panels.push_back(DrawMask(*picture, view.sample.labels));
  panels.push_back(DrawMask(*picture, view.Choices()));
  const int64_t zoom = std::max<int64_t>(1, kLeastSide / std::max(height, width));
  const int64_t step = width * zoom + 1;
  Image sheet{{3, height * zoom, static_cast<int64_t>(panels.size()) * step - 1}, {}};
  if (absl::Status status = CheckImageSize(sheet.shape.height, sheet.shape.width, "the picture");
      !status.ok()) {
    return status;
  }
  sheet.pixels.assign(static_cast<size_t>(sheet.shape.size()), kLineShade);
  for (int64_t c = 0; c < 3; ++c) {
    for (int64_t y = 0; y < sheet.shape.height; ++y) {
      for (int64_t x = 0; x < sheet.shape.width; ++x) {
        if (x % step == step - 1) continue;
        const Image& panel = panels[static_cast<size_t>(x / step)];
        sheet.pixels[static_cast<size_t>((c * sheet.shape.height + y) * sheet.shape.width + x)] =
            panel.pixels[static_cast<size_t>((c * height + y / zoom) * width + x % step / zoom)];
      }
    }
  }
  return sheet;
}

}  // namespace distillery
