#include "common/weights/layout.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <set>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/shape.h"
#include "common/base/status_macros.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

constexpr int64_t kMaxHeaderBytes = 100 << 20;  // the format's own limit
constexpr int64_t kMaxElements = std::numeric_limits<int64_t>::max() / 16;

struct TypeEntry {
  ScalarType type;
  const char* name;
  int64_t size;
};
constexpr std::array<TypeEntry, 10> kTypes = {{{ScalarType::kFloat32, "F32", 4},
                                               {ScalarType::kFloat64, "F64", 8},
                                               {ScalarType::kFloat16, "F16", 2},
                                               {ScalarType::kBFloat16, "BF16", 2},
                                               {ScalarType::kInt64, "I64", 8},
                                               {ScalarType::kInt32, "I32", 4},
                                               {ScalarType::kInt16, "I16", 2},
                                               {ScalarType::kInt8, "I8", 1},
                                               {ScalarType::kUInt8, "U8", 1},
                                               {ScalarType::kBool, "BOOL", 1}}};

const TypeEntry& Entry(ScalarType type) {
  return *std::find_if(kTypes.begin(), kTypes.end(),
                       [type](const TypeEntry& entry) { return entry.type == type; });
}

absl::Status Malformed(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("safetensors: ", what));
}

// Sets element and byte counts from type and shape.
absl::Status Measure(TensorSpec* tensor) {
  const absl::StatusOr<int64_t> count =
      CheckedElementCount(tensor->shape, kMaxElements, /*zero_allowed=*/true);
  if (!count.ok()) {
    return Malformed(absl::StrCat("tensor \"", absl::CHexEscape(tensor->name), "\": ",
                                  count.status().message()));
  }
  tensor->element_count = *count;
  tensor->byte_count = *count * ScalarTypeSize(tensor->type);
  return absl::OkStatus();
}

std::string Describe(const TensorSpec& tensor) {
  return absl::StrCat(ScalarTypeName(tensor.type), " [", absl::StrJoin(tensor.shape, ", "), "]");
}

// Parses one entry of the header.
absl::StatusOr<TensorSpec> ParseEntry(const std::string& name, const nlohmann::json& entry) {
  TensorSpec tensor;
  tensor.name = name;
  const std::string quoted = absl::StrCat("tensor \"", absl::CHexEscape(name), "\"");
  if (!entry.is_object() || entry.size() != 3 || !entry.contains("dtype") ||
      !entry["dtype"].is_string() || !entry.contains("shape") || !entry["shape"].is_array() ||
      !entry.contains("data_offsets") || !entry["data_offsets"].is_array() ||
      entry["data_offsets"].size() != 2) {
    return Malformed(absl::StrCat(quoted, " needs dtype, shape and data_offsets alone"));
  }
  const auto& type_name = entry["dtype"].get_ref<const std::string&>();
  const auto* const type = std::find_if(kTypes.begin(), kTypes.end(),
                                        [&](const TypeEntry& e) { return type_name == e.name; });
  if (type == kTypes.end()) return Malformed(absl::StrCat(quoted, " has an unknown dtype"));
  tensor.type = type->type;
  const auto whole = [](const nlohmann::json& number) {
    return number.is_number_unsigned() &&
           number.get<uint64_t>() <= static_cast<uint64_t>(kMaxElements);
  };
  for (const nlohmann::json& size : entry["shape"]) {
    if (!whole(size)) return Malformed(absl::StrCat(quoted, " has a bad shape"));
    tensor.shape.push_back(size.get<int64_t>());
  }
  DISTILLERY_RETURN_IF_ERROR(Measure(&tensor));
  const nlohmann::json& offsets = entry["data_offsets"];
  if (!whole(offsets[0]) || !whole(offsets[1]) ||
      offsets[1].get<int64_t>() - offsets[0].get<int64_t>() != tensor.byte_count) {
    return Malformed(absl::StrCat(quoted, ": data_offsets do not hold ", tensor.byte_count,
                                  " bytes"));
  }
  tensor.offset = offsets[0].get<int64_t>();
  return tensor;
}

}  // namespace

absl::string_view ScalarTypeName(ScalarType type) { return Entry(type).name; }
int64_t ScalarTypeSize(ScalarType type) { return Entry(type).size; }

absl::StatusOr<WeightsLayout> WeightsLayout::Create(std::vector<TensorSpec> tensors) {
  WeightsLayout layout;
  std::sort(tensors.begin(), tensors.end(),
            [](const TensorSpec& a, const TensorSpec& b) { return a.name < b.name; });
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (tensors[i].name.empty() || tensors[i].name == "__metadata__") {
      return Malformed("a tensor without a name");
    }
    if (i > 0 && tensors[i].name == tensors[i - 1].name) {
      return Malformed(absl::StrCat("tensor \"", tensors[i].name, "\" is there twice"));
    }
    DISTILLERY_RETURN_IF_ERROR(Measure(&tensors[i]));
    tensors[i].offset = layout.data_size_;
    if (__builtin_add_overflow(layout.data_size_, tensors[i].byte_count, &layout.data_size_)) {
      return Malformed("more bytes than fit");
    }
  }
  layout.tensors_ = std::move(tensors);
  layout.canonical_ = true;
  layout.data_start_ = static_cast<int64_t>(layout.Header().size());
  return layout;
}

absl::StatusOr<WeightsLayout> WeightsLayout::Parse(absl::string_view file) {
  if (file.size() < 8) return Malformed("shorter than its header length");
  uint64_t header_size = 0;
  std::memcpy(&header_size, file.data(), sizeof(header_size));
  if (header_size > static_cast<uint64_t>(kMaxHeaderBytes) || header_size > file.size() - 8) {
    return Malformed(absl::StrCat("header of ", header_size, " bytes in a file of ", file.size()));
  }
  const absl::string_view header = file.substr(8, header_size);
  // nlohmann keeps the last of doubled keys in silence: watch the top level's keys.
  std::set<std::string> names;
  bool doubled = false;
  bool too_deep = false;
  const auto watch = [&](int depth, nlohmann::json::parse_event_t event,
                         nlohmann::json& parsed) {  // NOLINT: the parser's interface
    if (depth > 3) too_deep = true;
    if (event == nlohmann::json::parse_event_t::key && depth == 1) {
      doubled = doubled || !names.insert(parsed.get<std::string>()).second;
    }
    return !too_deep;
  };
  const nlohmann::json json = nlohmann::json::parse(header.begin(), header.end(), watch,
                                                    /*allow_exceptions=*/false);
  if (too_deep || !json.is_object()) return Malformed("the header is not a JSON object of tensors");
  if (doubled) return Malformed("a tensor name is there twice");
  WeightsLayout layout;
  layout.data_start_ = static_cast<int64_t>(8 + header_size);
  layout.data_size_ = static_cast<int64_t>(file.size()) - layout.data_start_;
  for (const auto& [name, entry] : json.items()) {
    if (name == "__metadata__") continue;
    DISTILLERY_ASSIGN_OR_RETURN(TensorSpec tensor, ParseEntry(name, entry));
    layout.tensors_.push_back(std::move(tensor));
  }
  std::stable_sort(layout.tensors_.begin(), layout.tensors_.end(),
                   [](const TensorSpec& a, const TensorSpec& b) {
                     return std::tie(a.offset, a.byte_count) < std::tie(b.offset, b.byte_count);
                   });
  int64_t end = 0;
  for (const TensorSpec& tensor : layout.tensors_) {
    if (tensor.offset != end) {
      return Malformed(absl::StrCat("a gap or overlap at byte ", end, " of the data"));
    }
    end += tensor.byte_count;
  }
  if (end != layout.data_size_) {
    return Malformed(absl::StrCat("the data has ", layout.data_size_, " bytes, the header says ",
                                  end));
  }
  layout.canonical_ = file.substr(0, 8 + header_size) == layout.Header();
  return layout;
}

const TensorSpec* WeightsLayout::Find(absl::string_view name) const {
  const auto found = std::find_if(tensors_.begin(), tensors_.end(),
                                  [&](const TensorSpec& tensor) { return tensor.name == name; });
  return found == tensors_.end() ? nullptr : &*found;
}

std::string WeightsLayout::Header() const {
  std::string json = "{";
  for (const TensorSpec& tensor : tensors_) {
    absl::StrAppend(&json, json.size() > 1 ? "," : "",
                    nlohmann::json(tensor.name).dump(-1, ' ', false,
                                                     nlohmann::json::error_handler_t::replace),
                    ":{\"dtype\":\"", ScalarTypeName(tensor.type), "\",\"shape\":[",
                    absl::StrJoin(tensor.shape, ","), "],\"data_offsets\":[", tensor.offset, ",",
                    tensor.offset + tensor.byte_count, "]}");
  }
  json += "}";
  json.append((8 - json.size() % 8) % 8, ' ');
  const uint64_t size = json.size();
  return std::string(reinterpret_cast<const char*>(&size), sizeof(size)) + json;
}

absl::Status CheckSameLayout(const WeightsLayout& expected, const WeightsLayout& got) {
  for (const TensorSpec& tensor : expected.tensors()) {
    const TensorSpec* const other = got.Find(tensor.name);
    if (other == nullptr) {
      return absl::FailedPreconditionError(
          absl::StrCat("weights: tensor \"", tensor.name, "\" is missing"));
    }
    if (other->type != tensor.type || other->shape != tensor.shape) {
      return absl::FailedPreconditionError(absl::StrCat("weights: tensor \"", tensor.name,
                                                        "\" is ", Describe(*other),
                                                        ", expected ", Describe(tensor)));
    }
  }
  for (const TensorSpec& tensor : got.tensors()) {
    if (expected.Find(tensor.name) == nullptr) {
      return absl::FailedPreconditionError(
          absl::StrCat("weights: tensor \"", absl::CHexEscape(tensor.name), "\" is not expected"));
    }
  }
  return absl::OkStatus();
}

}  // namespace distillery
