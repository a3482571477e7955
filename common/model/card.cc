#include "common/model/card.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <unordered_map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/names.h"
#include "common/base/shape.h"
#include "common/base/status_macros.h"
#include "common/data/class_names.h"
#include "common/data/dataset.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

constexpr int64_t kMaxInputElements = int64_t{1} << 28;

absl::Status Wrong(absl::string_view key, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("model card: ", key, " ", what));
}

absl::StatusOr<std::vector<float>> ParsePerChannel(const nlohmann::json& json, const char* key,
                                                   int64_t channels) {
  const nlohmann::json& values = json.at(key);
  if (!values.is_array() || static_cast<int64_t>(values.size()) != channels) {
    return Wrong(key, absl::StrCat("must hold one number per channel, ", channels));
  }
  std::vector<float> result;
  for (const nlohmann::json& value : values) {
    if (!value.is_number() || !std::isfinite(value.get<float>())) {
      return Wrong(key, "must hold finite numbers");
    }
    result.push_back(value.get<float>());
  }
  return result;
}

// Some of them, the one that a message is about among them.
std::string ShortList(const std::vector<std::string>& names, size_t about) {
  constexpr size_t kMostNames = 10;
  constexpr size_t kMostBytes = 120;
  size_t first = about;
  size_t last = about + 1;
  size_t bytes = names[about].size();
  const auto fits = [&](size_t next) {
    return last - first < kMostNames && bytes + names[next].size() <= kMostBytes;
  };
  while (first > 0 && fits(first - 1)) bytes += names[--first].size();
  while (last < names.size() && fits(last)) bytes += names[last++].size();
  return absl::StrCat(first > 0 ? "..., " : "",
                      absl::StrJoin(names.begin() + static_cast<std::ptrdiff_t>(first),
                                    names.begin() + static_cast<std::ptrdiff_t>(last), ", "),
                      last < names.size() ? ", ..." : "");
}

bool AreNumbers(const std::vector<std::string>& names) {
  return names == NumberedClassNames(static_cast<int64_t>(names.size()));
}

// Whether some name is in both lists, but not in the same place.
bool Disagree(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  std::unordered_map<std::string, size_t> places;
  for (size_t i = 0; i < a.size(); ++i) places.emplace(a[i], i);
  for (size_t i = 0; i < b.size(); ++i) {
    const auto place = places.find(b[i]);
    if (place != places.end() && place->second != i) return true;
  }
  return false;
}

nlohmann::ordered_json OutputKeyToJson(const std::vector<OutputStep>& steps) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const OutputStep& step : steps) {
    std::visit([&](const auto& value) { json.push_back(value); }, step);
  }
  return steps.size() == 1 ? json.front() : json;
}

absl::StatusOr<std::vector<OutputStep>> ParseOutputKey(const nlohmann::json& json) {
  constexpr size_t kMostSteps = 8;
  const absl::Status wrong =
      Wrong("output_key", "must be a name, a number >= 0, or a list of them");
  const nlohmann::json list = json.is_array() ? json : nlohmann::json::array({json});
  if (list.empty() || list.size() > kMostSteps) return wrong;
  std::vector<OutputStep> steps;
  for (const nlohmann::json& step : list) {
    if (step.is_string()) {
      steps.emplace_back(step.get<std::string>());
    } else if (step.is_number_unsigned() && step.get<uint64_t>() <= INT32_MAX) {
      steps.emplace_back(step.get<int64_t>());
    } else {
      return wrong;
    }
  }
  return steps;
}

}  // namespace

ModelCard CardForDataset(const Dataset& dataset, const std::string& architecture) {
  ModelCard card;
  card.architecture = architecture;
  card.input_shape = dataset.shape();
  card.class_names = dataset.class_names();
  const int64_t plane = dataset.shape().height * dataset.shape().width;
  for (const ChannelSums& sums : dataset.channel_sums()) {
    const auto count = static_cast<double>(dataset.size() * plane);
    const double mean = static_cast<double>(sums.values) / count;
    const double variance = static_cast<double>(sums.squares) / count - mean * mean;
    const double scale = dataset.pixel_max();
    card.mean.push_back(static_cast<float>(mean / scale));
    card.deviation.push_back(variance > 0 ? static_cast<float>(std::sqrt(variance) / scale) : 1.0F);
  }
  return card;
}

absl::Status CheckSameClasses(const ClassList& a, const ClassList& b) {
  if (a.names.size() != b.names.size()) {
    return absl::InvalidArgumentError(absl::StrCat(a.owner, " has ", a.names.size(), " classes, ",
                                                   b.owner, " has ", b.names.size()));
  }
  if (a.names == b.names) return absl::OkStatus();
  const bool disagree = Disagree(a.names, b.names);
  if (!disagree && (AreNumbers(a.names) || AreNumbers(b.names))) return absl::OkStatus();
  const auto differ = std::mismatch(a.names.begin(), a.names.end(), b.names.begin());
  const auto at = static_cast<size_t>(differ.first - a.names.begin());
  std::vector<std::string> sorted_a = a.names;
  std::vector<std::string> sorted_b = b.names;
  std::sort(sorted_a.begin(), sorted_a.end());
  std::sort(sorted_b.begin(), sorted_b.end());
  const bool reordered = sorted_a == sorted_b;
  return absl::InvalidArgumentError(absl::StrCat(
      a.owner, " and ", b.owner,
      reordered ? " have the same classes in another order: class "
                : " have unlike classes: class ",
      at, " is \"", a.names[at], "\" to ", a.owner, " (", ShortList(a.names, at), ") and \"",
      b.names[at], "\" to ", b.owner, " (", ShortList(b.names, at),
      "); classes are told apart by number, so give both the same names in the same order"));
}

absl::Status CheckFits(const ModelCard& card, const Dataset& dataset) {
  if (!(card.input_shape == dataset.shape())) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the model takes images of ", absl::StrJoin(card.input_shape.ToVector(), " x "),
        ", data set ", dataset.reference().name, " has ",
        absl::StrJoin(dataset.shape().ToVector(), " x ")));
  }
  return CheckSameClasses(
      {"the model", card.class_names},
      {absl::StrCat("data set ", dataset.reference().name), dataset.class_names()});
}

std::string ModelCardToJson(const ModelCard& card) {
  nlohmann::ordered_json json;
  json["format"] = 1;
  json["architecture"] = card.architecture;
  json["input_shape"] = card.input_shape.ToVector();
  json["mean"] = card.mean;
  json["deviation"] = card.deviation;
  json["class_names"] = card.class_names;
  json["output"] = card.outputs_probabilities ? "probabilities" : "logits";
  // Only where they say something, so that cards, and the teacher digests made of them, stay as
  // they were.
  if (!card.output_key.empty()) json["output_key"] = OutputKeyToJson(card.output_key);
  if (card.trust_output) json["trust_output"] = true;
  if (!card.input_type.empty()) json["input_type"] = card.input_type;
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

absl::StatusOr<ModelCard> ParseModelCard(const std::string& text) {
  static const std::vector<std::string> kRequired = {"format",    "input_shape", "mean",
                                                     "deviation", "class_names", "output"};
  static const std::vector<std::string> kKeys = {
      "format",      "architecture", "input_shape", "mean",         "deviation",
      "class_names", "output",       "output_key",  "trust_output", "input_type"};
  const auto shallow = [](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    return depth <= 4;
  };
  const nlohmann::json json = nlohmann::json::parse(text, shallow, /*allow_exceptions=*/false);
  if (!json.is_object()) return Wrong("text", "is not a JSON object");
  for (const auto& [key, value] : json.items()) {
    if (std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end()) {
      return absl::InvalidArgumentError(UnknownName("key in the model card", key, kKeys));
    }
  }
  for (const std::string& key : kRequired) {
    if (!json.contains(key)) return Wrong(key, "is missing");
  }
  if (json["format"] != 1) return Wrong("format", "must be 1");
  ModelCard card;
  if (json.contains("architecture")) {
    if (!json["architecture"].is_string()) return Wrong("architecture", "must be text");
    card.architecture = json["architecture"].get<std::string>();
  }
  const nlohmann::json& shape = json["input_shape"];
  std::vector<int64_t> sizes;
  if (shape.is_array()) {
    for (const nlohmann::json& size : shape) {
      sizes.push_back(size.is_number_integer() ? size.get<int64_t>() : -1);
    }
  }
  if (sizes.size() != 3 || !CheckedElementCount(sizes, kMaxInputElements).ok()) {
    return Wrong("input_shape", "must be [channels, height, width]");
  }
  card.input_shape = {sizes[0], sizes[1], sizes[2]};
  DISTILLERY_ASSIGN_OR_RETURN(card.mean, ParsePerChannel(json, "mean", sizes[0]));
  DISTILLERY_ASSIGN_OR_RETURN(card.deviation, ParsePerChannel(json, "deviation", sizes[0]));
  for (const float deviation : card.deviation) {
    if (!(deviation > 0)) return Wrong("deviation", "must be > 0");
  }
  const nlohmann::json& classes = json["class_names"];
  if (!classes.is_array() || classes.size() < 2) {
    return Wrong("class_names", "must hold at least two names");
  }
  for (const nlohmann::json& name : classes) {
    if (!name.is_string()) return Wrong("class_names", "must hold text");
    card.class_names.push_back(name.get<std::string>());
  }
  if (json["output"] != "logits" && json["output"] != "probabilities") {
    return Wrong("output", "must be \"logits\" or \"probabilities\"");
  }
  card.outputs_probabilities = json["output"] == "probabilities";
  if (json.contains("output_key")) {
    DISTILLERY_ASSIGN_OR_RETURN(card.output_key, ParseOutputKey(json["output_key"]));
  }
  if (json.contains("trust_output")) {
    if (!json["trust_output"].is_boolean()) return Wrong("trust_output", "must be true or false");
    card.trust_output = json["trust_output"].get<bool>();
  }
  if (json.contains("input_type")) {
    static const std::vector<std::string> kTypes = {"float16", "bfloat16", "float32", "float64"};
    const nlohmann::json& type = json["input_type"];
    if (std::find(kTypes.begin(), kTypes.end(), type) == kTypes.end()) {
      return Wrong("input_type", "must be \"float16\", \"bfloat16\", \"float32\" or \"float64\"");
    }
    card.input_type = type.get<std::string>();
  }
  return card;
}

}  // namespace distillery
