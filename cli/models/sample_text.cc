#include "cli/models/sample_text.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/text.h"
#include "common/data/byte_tokens.h"
#include "common/data/numbers.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

using Json = nlohmann::ordered_json;

// An input with its numbers.
struct Shown {
  const Sample& sample;
  const InputSpec& spec;
  const InputNumbers& numbers;
  bool feature_lines = false;
  SampleTextLimits limits;

  const std::vector<int64_t>& whole() const { return std::get<std::vector<int64_t>>(numbers); }
  const std::vector<float>& floats() const { return std::get<std::vector<float>>(numbers); }
  size_t size() const {
    return std::visit([](const auto& list) { return list.size(); }, numbers);
  }
  double at(size_t i) const {
    return std::visit([i](const auto& list) { return static_cast<double>(list[i]); }, numbers);
  }
  // By their names, or by their numbers.
  std::string feature(size_t i) const {
    return i < sample.feature_names.size() ? PlainText(sample.feature_names[i]) : absl::StrCat(i);
  }
};

std::string More(size_t all, size_t most) {
  return all > most ? absl::StrCat(" ... and ", all - most, " more") : "";
}

struct Moments {
  double low = 0;
  double high = 0;
  double mean = 0;
};

Moments MomentsOf(const Shown& shown) {
  Moments moments{shown.at(0), shown.at(0), 0};
  for (size_t i = 0; i < shown.size(); ++i) {
    moments.low = std::min(moments.low, shown.at(i));
    moments.high = std::max(moments.high, shown.at(i));
    moments.mean += shown.at(i) / static_cast<double>(shown.size());
  }
  return moments;
}

std::string Sizes(const std::vector<int64_t>& shape) { return absl::StrJoin(shape, " x "); }

std::string PictureText(const Shown& shown) {
  return absl::StrCat("picture of ", Sizes(shown.spec.shape));
}

void PictureJson(const Shown& /*shown*/, Json* /*json*/) {}

std::string TextText(const Shown& shown) {
  return absl::StrCat("\"", TextOfTokens(shown.whole(), shown.limits.text), "\"");
}

void TextJson(const Shown& shown, Json* json) {
  (*json)["text"] = TextOfTokens(shown.whole(), shown.size());
}

// Numbers side by side.
std::string ListText(const Shown& shown) {
  const size_t most = std::min(shown.size(), shown.limits.tokens);
  std::vector<std::string> texts;
  for (size_t i = 0; i < most; ++i) texts.push_back(NumberText(shown.at(i)));
  return absl::StrCat(absl::StrJoin(texts, " "), More(shown.size(), most));
}

void ListJson(const Shown& shown, Json* json) {
  (*json)["tokens"] = Json::array();
  for (size_t i = 0; i < std::min(shown.size(), shown.limits.tokens); ++i) {
    std::visit([&](const auto& list) { (*json)["tokens"].push_back(list[i]); }, shown.numbers);
  }
}

std::string TableText(const Shown& shown) {
  const size_t most = std::min(shown.size(), shown.limits.features);
  const std::string between = shown.feature_lines ? "\n  " : ", ";
  std::string text = shown.feature_lines ? between : "";
  for (size_t i = 0; i < most; ++i) {
    absl::StrAppend(&text, i == 0 ? "" : between, shown.feature(i), " = ", NumberText(shown.at(i)));
  }
  const std::string more = More(shown.size(), most);
  return more.empty() ? text : absl::StrCat(text, shown.feature_lines ? "\n " : "", more);
}

void TableJson(const Shown& shown, Json* json) {
  (*json)["features"] = Json::array();
  for (size_t i = 0; i < std::min(shown.size(), shown.limits.features); ++i) {
    const std::string name =
        i < shown.sample.feature_names.size() ? shown.sample.feature_names[i] : absl::StrCat(i);
    (*json)["features"].push_back({{"name", name}, {"value", shown.at(i)}});
  }
}

std::string SeriesText(const Shown& shown) {
  const Moments moments = MomentsOf(shown);
  return absl::StrCat(shown.spec.shape.empty() ? "1" : Sizes(shown.spec.shape), " numbers, ",
                      NumberText(moments.low), " to ", NumberText(moments.high), ", mean ",
                      NumberText(moments.mean));
}

void SeriesJson(const Shown& shown, Json* json) {
  const Moments moments = MomentsOf(shown);
  (*json)["low"] = moments.low;
  (*json)["high"] = moments.high;
  (*json)["mean"] = moments.mean;
}

// Masks are many zeros and ones.
std::string NumbersText(const Shown& shown) {
  size_t ones = 0;
  bool bits = shown.size() > 1;
  for (size_t i = 0; i < shown.size() && bits; ++i) {
    bits = shown.at(i) == 0 || shown.at(i) == 1;
    ones += shown.at(i) == 1 ? 1 : 0;
  }
  return bits ? absl::StrCat(ones, " of ", shown.size(), " are 1") : ListText(shown);
}

struct FormRow {
  absl::string_view name;
  std::string (*text)(const Shown& shown);
  void (*json)(const Shown& shown, Json* json);
};

// In the order of the enum.
constexpr FormRow kForms[] = {
    {"picture", &PictureText, &PictureJson}, {"text", &TextText, &TextJson},
    {"tokens", &ListText, &ListJson},        {"table", &TableText, &TableJson},
    {"series", &SeriesText, &SeriesJson},    {"numbers", &NumbersText, &ListJson},
};

const FormRow& RowOf(const InputSpec& input) { return kForms[static_cast<int>(FormOf(input))]; }

// The first input of tokens, or of a mask, that is as long as there are positions.
const InputNumbers* LineOf(const Sample& sample, bool tokens, const InputSpec** spec) {
  if (sample.spec.answer.positions.size() != 1) return nullptr;
  const std::vector<InputSpec>& inputs = sample.spec.inputs;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const bool is_tokens = inputs[i].vocabulary > 0;
    const bool is_mask = inputs[i].name == "mask";
    if (inputs[i].shape != sample.spec.answer.positions || !(tokens ? is_tokens : is_mask)) {
      continue;
    }
    *spec = &inputs[i];
    return &sample.inputs[i];
  }
  return nullptr;
}

std::string ClassName(const Sample& sample, int64_t label) {
  if (label == kNoLabel) return "no label";
  const auto at = static_cast<size_t>(label);
  return at < sample.class_names.size() ? sample.class_names[at] : absl::StrCat(label);
}

// "3 x cat, 2 x dog"
std::string CountsOfLabels(const Sample& sample, size_t most) {
  std::map<int64_t, int64_t> counts;
  for (const int64_t label : sample.labels) ++counts[label];
  std::vector<std::pair<int64_t, int64_t>> order(counts.begin(), counts.end());
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  std::vector<std::string> texts;
  for (size_t i = 0; i < std::min(most, order.size()); ++i) {
    texts.push_back(
        absl::StrCat(order[i].second, " x ", PlainText(ClassName(sample, order[i].first))));
  }
  return absl::StrCat(absl::StrJoin(texts, ", "), More(order.size(), most));
}

bool NamesAreBytes(const Sample& sample) { return sample.class_names == ByteTokenNames(); }

std::string LabelsOfPosition(const Sample& sample, const float* numbers) {
  std::vector<std::string> texts;
  for (size_t i = 0; i < sample.class_names.size(); ++i) {
    const std::string name = PlainText(sample.class_names[i]);
    if (sample.spec.answer.kind == AnswerKind::kValues) {
      texts.push_back(absl::StrCat(name, " = ", NumberText(static_cast<double>(numbers[i]))));
    } else if (numbers[i] == 1.0F) {
      texts.push_back(name);
    }
  }
  return texts.empty() ? "none" : absl::StrJoin(texts, ", ");
}

}  // namespace

InputForm FormOf(const InputSpec& input) {
  if (input.is_picture()) return InputForm::kPicture;
  if (input.vocabulary > 0) {
    return input.vocabulary == kByteVocabulary && input.shape.size() == 1 ? InputForm::kText
                                                                          : InputForm::kTokens;
  }
  if (ModelType(input) != ElementType::kFloat32) return InputForm::kNumbers;
  const bool of_its_own = input.channels() == input.elements();
  return of_its_own ? InputForm::kTable : InputForm::kSeries;
}

absl::string_view NameOf(InputForm form) { return kForms[static_cast<int>(form)].name; }

std::string TextOfTokens(const std::vector<int64_t>& tokens, size_t most_bytes) {
  size_t end = tokens.size();
  while (end > 0 && tokens[end - 1] == kPadding) --end;
  const size_t shown = std::min(end, most_bytes);
  std::string bytes;
  for (size_t i = 0; i < shown; ++i) {
    if (tokens[i] == kPadding) {
      bytes += "<pad>";
    } else {
      bytes += static_cast<char>(tokens[i] - 1);
    }
  }
  return PlainText(bytes) + More(end, shown);
}

std::string NameOfToken(const InputSpec& input, int64_t token) {
  static const auto* const names = new std::vector<std::string>(ByteTokenNames());
  if (FormOf(input) != InputForm::kText || token < 0 || token >= kByteVocabulary) {
    return absl::StrCat(token);
  }
  return (*names)[static_cast<size_t>(token)];
}

std::string DescribeInputs(const Sample& sample, bool feature_lines,
                           const SampleTextLimits& limits) {
  std::string text;
  for (size_t i = 0; i < sample.inputs.size(); ++i) {
    const InputSpec& spec = sample.spec.inputs[i];
    absl::StrAppend(&text, PlainText(spec.name),
                    FormOf(spec) == InputForm::kTable && feature_lines ? ":" : ": ",
                    RowOf(spec).text({sample, spec, sample.inputs[i], feature_lines, limits}),
                    "\n");
  }
  return text;
}

std::string DescribeLabel(const Sample& sample, const SampleTextLimits& limits) {
  constexpr size_t kMostClasses = 8;
  constexpr size_t kMostPositions = 4;
  const AnswerSpec& answer = sample.spec.answer;
  if (answer.kind == AnswerKind::kClasses) {
    if (sample.labels.empty()) return "";
    if (answer.positions.empty()) return PlainText(ClassName(sample, sample.labels.front()));
    if (NamesAreBytes(sample) && answer.positions.size() == 1) {
      std::vector<int64_t> tokens;
      for (const int64_t label : sample.labels) tokens.push_back(std::max(label, kPadding));
      return absl::StrCat("\"", TextOfTokens(tokens, limits.text), "\"");
    }
    return CountsOfLabels(sample, kMostClasses);
  }
  if (sample.label_numbers.empty()) return "";
  std::vector<std::string> positions;
  const size_t width = sample.class_names.size();
  const size_t all = sample.label_numbers.size() / std::max<size_t>(1, width);
  for (size_t i = 0; i < std::min(all, kMostPositions); ++i) {
    positions.push_back(LabelsOfPosition(sample, &sample.label_numbers[i * width]));
  }
  return absl::StrCat(absl::StrJoin(positions, "; "), More(all, positions.size()));
}

Json InputToJson(const Sample& sample, size_t input, bool all) {
  const InputSpec& spec = sample.spec.inputs[input];
  Json json = {
      {"name", spec.name}, {"form", std::string(NameOf(FormOf(spec)))}, {"shape", spec.shape}};
  RowOf(spec).json({sample, spec, sample.inputs[input], false, {}}, &json);
  if (all) {
    std::visit([&](const auto& numbers) { json["values"] = numbers; }, sample.inputs[input]);
  }
  return json;
}

std::optional<Image> PictureOf(const Sample& sample, int64_t height, int64_t width) {
  for (size_t i = 0; i < sample.inputs.size(); ++i) {
    const InputSpec& spec = sample.spec.inputs[i];
    if (!spec.is_picture()) continue;
    if (height > 0 && (spec.shape[1] != height || spec.shape[2] != width)) continue;
    Image image{{spec.shape[0], spec.shape[1], spec.shape[2]}, {}};
    for (const float pixel : std::get<std::vector<float>>(sample.inputs[i])) {
      const double byte = std::clamp(255.0 * static_cast<double>(pixel), 0.0, 255.0);
      image.pixels.push_back(static_cast<uint8_t>(std::lround(byte)));
    }
    return image;
  }
  return std::nullopt;
}

std::string TokenAt(const Sample& sample, int64_t at) {
  const InputSpec* spec = nullptr;
  const InputNumbers* const line = LineOf(sample, /*tokens=*/true, &spec);
  if (line == nullptr) return "";
  return NameOfToken(*spec, std::get<std::vector<int64_t>>(*line)[static_cast<size_t>(at)]);
}

int64_t FilledLength(const Sample& sample) {
  const int64_t length = sample.spec.answer.position_count();
  const InputSpec* spec = nullptr;
  const InputNumbers* line = LineOf(sample, /*tokens=*/false, &spec);
  if (line == nullptr) {
    line = LineOf(sample, /*tokens=*/true, &spec);
    // Of other tokens 0 may be one like the others.
    if (line != nullptr && FormOf(*spec) != InputForm::kText) line = nullptr;
  }
  if (line == nullptr) return length;
  const Shown shown{sample, *spec, *line, false, {}};
  int64_t filled = length;
  while (filled > 1 && shown.at(static_cast<size_t>(filled - 1)) == 0) --filled;
  return filled;
}

std::string NumberText(double number) { return absl::StrFormat("%.6g", number); }

}  // namespace distillery
