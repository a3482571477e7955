#include "common/model/card.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/names.h"
#include "common/base/shape.h"
#include "common/base/status_macros.h"
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

}  // namespace

std::string ModelCardToJson(const ModelCard& card) {
  nlohmann::ordered_json json;
  json["format"] = 1;
  json["architecture"] = card.architecture;
  json["input_shape"] = card.input_shape.ToVector();
  json["mean"] = card.mean;
  json["deviation"] = card.deviation;
  json["class_names"] = card.class_names;
  json["output"] = card.outputs_probabilities ? "probabilities" : "logits";
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

absl::StatusOr<ModelCard> ParseModelCard(const std::string& text) {
  static const std::vector<std::string> kKeys = {"format", "architecture", "input_shape", "mean",
                                                 "deviation", "class_names", "output"};
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
  for (const std::string& key : kKeys) {
    if (key != "architecture" && !json.contains(key)) return Wrong(key, "is missing");
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
  return card;
}

}  // namespace distillery
