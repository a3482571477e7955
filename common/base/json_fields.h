// Strict JSON: objects whose fields are described once, for reading and for writing.
//
//   template <typename Fields>
//   void VisitFields(Fields& fields, Point& point) {
//     fields("x", point.x);
//     fields.Optional("label", point.label);
//   }
//
// lets JsonWriter write a Point, its keys in this order, and JsonReader read one: a key that is
// missing, that is not known (with the nearest that is) or whose value is of another type is an
// error that names its place, such as "figures[2].x". Values may be text, numbers, true and false,
// lists, and whatever has a VisitFields, or a ReadJson and a WriteJson, of its own, which must be
// in the namespace distillery itself.
//
// Include it in .cc files alone: the JSON library takes two seconds to compile.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace distillery {

using Json = nlohmann::ordered_json;

// INVALID_ARGUMENT "the text is not a JSON object", or one that has a key twice, of which one value
// would be lost silently. What lies deeper than `most_depth` is left out.
absl::StatusOr<Json> ParseJsonObject(const std::string& text, int most_depth);

// Text of an enum's values.
template <typename T>
using JsonNames = std::vector<std::pair<T, std::string>>;

// For JsonReader: each sets `status` if it is OK and the value is not of the type.
struct JsonPlace {
  std::string where;
  absl::Status* status;

  void Fail(absl::string_view what) const;
};
void ReadJson(const Json& json, const JsonPlace& place, bool* value);
void ReadJson(const Json& json, const JsonPlace& place, int64_t* value);
void ReadJson(const Json& json, const JsonPlace& place, double* value);
void ReadJson(const Json& json, const JsonPlace& place, std::string* value);
template <typename T>
void ReadJson(const Json& json, const JsonPlace& place, T* value);

// "text", "numbers" ...; "" for what is none of these.
template <typename T>
constexpr absl::string_view PluralOf() {
  if constexpr (std::is_same_v<T, std::string>) return "text";
  if constexpr (std::is_same_v<T, int64_t>) return "whole numbers";
  if constexpr (std::is_same_v<T, double>) return "numbers";
  return "";
}

template <typename T>
void ReadJson(const Json& json, const JsonPlace& place, std::vector<T>* values) {
  constexpr absl::string_view kPlural = PluralOf<T>();
  if (!json.is_array()) {
    return place.Fail(kPlural.empty() ? "must be a list"
                                      : absl::StrCat("must hold ", kPlural, ", in a list"));
  }
  values->clear();
  for (size_t i = 0; i < json.size(); ++i) {
    absl::Status wrong;
    ReadJson(json[i],
             kPlural.empty() ? JsonPlace{absl::StrCat(place.where, "[", i, "]"), place.status}
                             : JsonPlace{"", &wrong},
             &values->emplace_back());
    if (!wrong.ok()) return place.Fail(absl::StrCat("must hold ", kPlural, ", in a list"));
  }
}

// An object whose keys are taken one by one. The first error sticks; keys that are not known come
// before those that are missing, and these before values that are wrong.
class JsonReader {
 public:
  // `where`: of the object, "" for the whole. All must outlive this.
  JsonReader(const Json& json, std::string where, absl::Status* status);

  template <typename T>
  void operator()(const std::string& key, T& value) {
    if (const Json* const found = Find(key)) ReadJson(*found, Place(key), &value);
  }
  // Leaves the value as it is where there is none.
  template <typename T>
  void Optional(const std::string& key, T& value) {
    if (const Json* const found = FindOptional(key)) ReadJson(*found, Place(key), &value);
  }
  template <typename T>
  void Optional(const std::string& key, std::optional<T>& value) {
    if (const Json* const found = FindOptional(key)) {
      ReadJson(*found, Place(key), &value.emplace());
    }
  }
  // Which keys there are may depend on it, so this error comes before all others.
  template <typename T>
  void OneOf(const std::string& key, T& value, const JsonNames<T>& names) {
    const JsonPlace place{Place(key).where, status_};
    const Json* const found = FindOptional(key);
    if (found == nullptr) {
      const std::string& first = missing_.empty() ? key : missing_;
      return JsonPlace{Place(first).where, status_}.Fail("is missing");
    }
    std::string known;
    for (const auto& [one, name] : names) {
      if (*found == name) {
        value = one;
        return;
      }
      absl::StrAppend(&known,
                      known.empty()                 ? ""
                      : name == names.back().second ? " or "
                                                    : ", ",
                      name);
    }
    place.Fail(absl::StrCat("must be ", known));
  }
  // visit(fields, element) for each of a list, in place of the element's VisitFields.
  template <typename T, typename Visit>
  void Each(const std::string& key, std::vector<T>& values, const Visit& visit) {
    const Json* const found = Find(key);
    if (found == nullptr) return;
    if (!found->is_array()) return Fail(key, "must be a list");
    values.resize(found->size());
    for (size_t i = 0; i < values.size(); ++i) {
      JsonReader reader((*found)[i], absl::StrCat(Place(key).where, "[", i, "]"), &wrong_);
      visit(reader, values[i]);
      reader.Finish();
    }
  }
  // visit(fields, value) for an object, in place of the value's VisitFields.
  template <typename T, typename Visit>
  void Object(const std::string& key, T& value, const Visit& visit) {
    const Json* const found = Find(key);
    if (found == nullptr) return;
    JsonReader reader(*found, Place(key).where, &wrong_);
    visit(reader, value);
    reader.Finish();
  }
  // An object as JSON text; "" where there is none.
  void Raw(const std::string& key, std::string& text);

  // For values with rules of their own; null if the key is missing.
  const Json* Find(const std::string& key);
  const Json* FindOptional(const std::string& key);
  void Fail(const std::string& key, absl::string_view what) { Place(key).Fail(what); }
  // Sets `status`. Call once, last.
  void Finish();

 private:
  JsonPlace Place(const std::string& key) {
    return {where_.empty() ? key : absl::StrCat(where_, ".", key), &wrong_};
  }

  const Json& json_;
  const std::string where_;
  absl::Status* const status_;
  std::vector<std::string> known_;
  std::string missing_;
  absl::Status wrong_;
};

template <typename T>
void ReadJson(const Json& json, const JsonPlace& place, T* value) {
  JsonReader reader(json, place.where, place.status);
  VisitFields(reader, *value);
  reader.Finish();
}

template <typename T>
Json WriteJson(const T& value);
template <typename T>
Json WriteJson(const std::vector<T>& values);

class JsonWriter {
 public:
  template <typename T>
  void operator()(const std::string& key, const T& value) {
    json_[key] = WriteJson(value);
  }
  // Not where there is nothing to say: empty text, an empty list.
  template <typename T>
  void Optional(const std::string& key, const T& value) {
    if (!value.empty()) json_[key] = WriteJson(value);
  }
  template <typename T>
  void Optional(const std::string& key, const std::optional<T>& value) {
    if (value.has_value()) json_[key] = WriteJson(*value);
  }
  template <typename T>
  void OneOf(const std::string& key, const T& value, const JsonNames<T>& names) {
    for (const auto& [one, name] : names) {
      if (one == value) json_[key] = name;
    }
  }
  template <typename T, typename Visit>
  void Each(const std::string& key, std::vector<T>& values, const Visit& visit) {
    Json& list = json_[key] = Json::array();
    for (T& value : values) {
      JsonWriter writer;
      visit(writer, value);
      list.push_back(std::move(writer.json_));
    }
  }
  void Raw(const std::string& key, const std::string& text) {
    if (!text.empty()) json_[key] = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  }
  Json Finish() && { return std::move(json_); }

 private:
  Json json_ = Json::object();
};

template <typename T>
Json WriteJson(const T& value) {
  if constexpr (std::is_same_v<T, std::string> ||
                (std::is_constructible_v<Json, const T&> && !std::is_class_v<T>)) {
    return Json(value);
  } else {
    JsonWriter writer;
    VisitFields(writer, const_cast<T&>(value));  // a writer only looks
    return std::move(writer).Finish();
  }
}

template <typename T>
Json WriteJson(const std::vector<T>& values) {
  Json json = Json::array();
  for (const T& value : values) json.push_back(WriteJson(value));
  return json;
}

}  // namespace distillery
