#include "common/base/json_fields.h"

#include <algorithm>
#include <set>

#include "common/base/names.h"
#include "common/base/terminal.h"

namespace distillery {

absl::StatusOr<Json> ParseJsonObject(const std::string& text, int most_depth) {
  // Of the object that is being read at each depth.
  std::vector<std::set<std::string>> keys;
  std::string twice;
  const auto visit = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth > most_depth) return false;
    const size_t level = static_cast<size_t>(depth);
    if (event == Json::parse_event_t::object_start) {
      keys.resize(level + 1);
      keys[level].clear();
    } else if (event == Json::parse_event_t::key && twice.empty()) {
      const std::string& key = parsed.get_ref<const std::string&>();
      if (!keys[level - 1].insert(key).second) twice = key;
    }
    return true;
  };
  Json json = Json::parse(text, visit, /*allow_exceptions=*/false);
  if (!json.is_object()) return absl::InvalidArgumentError("the text is not a JSON object");
  if (!twice.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("key \"", Printable(twice), "\" is there twice"));
  }
  return json;
}

void JsonPlace::Fail(absl::string_view what) const {
  if (status->ok()) *status = absl::InvalidArgumentError(absl::StrCat(where, " ", what));
}

void ReadJson(const Json& json, const JsonPlace& place, bool* value) {
  if (!json.is_boolean()) return place.Fail("must be true or false");
  *value = json.get<bool>();
}

void ReadJson(const Json& json, const JsonPlace& place, int64_t* value) {
  if (!json.is_number_integer()) return place.Fail("must be a whole number");
  *value = json.get<int64_t>();
}

void ReadJson(const Json& json, const JsonPlace& place, double* value) {
  if (!json.is_number()) return place.Fail("must be a number");
  *value = json.get<double>();
}

void ReadJson(const Json& json, const JsonPlace& place, std::string* value) {
  if (!json.is_string()) return place.Fail("must be text");
  *value = json.get<std::string>();
}

JsonReader::JsonReader(const Json& json, std::string where, absl::Status* status)
    : json_(json), where_(std::move(where)), status_(status) {}

const Json* JsonReader::Find(const std::string& key) {
  const Json* const found = FindOptional(key);
  if (found == nullptr && missing_.empty()) missing_ = key;
  return found;
}

const Json* JsonReader::FindOptional(const std::string& key) {
  known_.push_back(key);
  if (!json_.is_object()) return nullptr;
  const auto found = json_.find(key);
  return found == json_.end() ? nullptr : &*found;
}

void JsonReader::Raw(const std::string& key, std::string& text) {
  const Json* const found = FindOptional(key);
  if (found == nullptr) return;
  if (!found->is_object()) return Fail(key, "must be an object");
  text = JsonText(*found);
}

void JsonReader::Finish() {
  if (!json_.is_object()) return JsonPlace{where_, status_}.Fail("must be an object");
  for (const auto& [key, value] : json_.items()) {
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    const std::string nearest = NearestName(key, known_);
    const JsonPlace place{Place(Printable(key)).where, status_};
    place.Fail(nearest.empty() ? std::string("is no key here")
                               : absl::StrCat("is no key here; did you mean \"", nearest, "\"?"));
  }
  if (!missing_.empty()) JsonPlace{Place(missing_).where, status_}.Fail("is missing");
  status_->Update(wrong_);
}

}  // namespace distillery
