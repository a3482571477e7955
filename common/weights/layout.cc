#include "common/weights/layout.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <limits>
#include <numeric>
#include <tuple>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/shape.h"
#include "common/base/status_macros.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

constexpr int64_t kMaxElements = std::numeric_limits<int64_t>::max() / 16;

absl::Status Malformed(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("safetensors: ", what));
}

absl::Status LongName(absl::string_view name, int64_t most) {
  return Malformed(
      absl::StrCat("a tensor's name has ", name.size(), " bytes, the most are ", most));
}

// Sets element and byte counts from type and shape.
absl::Status Measure(TensorSpec* tensor) {
  const absl::StatusOr<int64_t> count =
      CheckedElementCount(tensor->shape, kMaxElements, /*zero_allowed=*/true);
  if (!count.ok()) {
    return Malformed(absl::StrCat("tensor \"", absl::CHexEscape(tensor->name),
                                  "\": ", count.status().message()));
  }
  tensor->element_count = *count;
  tensor->byte_count = *count * SpecOf(tensor->type).bytes;
  return absl::OkStatus();
}

std::string Describe(const TensorSpec& tensor) {
  return absl::StrCat(SpecOf(tensor.type).name, " [", absl::StrJoin(tensor.shape, ", "), "]");
}

// Reads the header's JSON event by event. No tree of it is made: nlohmann's parser looks, at the
// end of each object that a callback watches, through all that came before it.
//
// What is wrong with an entry is kept while the rest is read: a header that is no JSON is that
// first of all.
class HeaderReader {
 public:
  using Json = nlohmann::json;
  explicit HeaderReader(const std::function<bool()>& cancelled) : cancelled_(cancelled) {}

  absl::StatusOr<std::vector<TensorSpec>> Read(absl::string_view header) {
    const bool parsed = Json::sax_parse(header.begin(), header.end(), this);
    if (!stopped_.ok()) return stopped_;
    if (!parsed || !is_object_) return Malformed("the header is not a JSON object of tensors");
    if (!problem_.ok()) return problem_;
    return std::move(tensors_);
  }

  // The interface that sax_parse calls; false stops it.
  bool null() { return Other(); }
  bool boolean(bool /*value*/) { return Other(); }
  bool number_integer(int64_t /*value*/) { return Number(-1); }
  bool number_unsigned(uint64_t value) {
    return Number(value <= static_cast<uint64_t>(kMaxElements) ? static_cast<int64_t>(value) : -1);
  }
  bool number_float(double /*value*/, const std::string& /*text*/) { return Number(-1); }
  bool binary(Json::binary_t& /*value*/) { return Other(); }
  bool string(std::string& value) {
    if (depth_ != 2 || field_ != Field::kType) return Other();
    type_ = std::find_if(std::begin(kElementTypes), std::end(kElementTypes),
                         [&](const ElementTypeSpec& entry) { return value == entry.name; });
    if (type_ == std::end(kElementTypes)) Problem(" has an unknown dtype");
    return true;
  }
  bool start_object(size_t /*size*/) {
    is_object_ = is_object_ || depth_ == 0;
    if (depth_ > 1) Other();
    return Deeper();
  }
  bool end_object() {
    if (--depth_ == 1 && !in_metadata_) EndEntry();
    return true;
  }
  bool start_array(size_t /*size*/) {
    if (depth_ != 2 || (field_ != Field::kShape && field_ != Field::kOffsets)) Other();
    in_list_ = depth_ == 2;
    return Deeper();
  }
  bool end_array() {
    --depth_;
    in_list_ = false;
    return true;
  }
  bool key(std::string& name) {
    if (depth_ == 1) return StartEntry(name);
    if (depth_ != 2 || in_metadata_) return true;
    Field field = Field::kNone;
    if (name == "dtype") field = Field::kType;
    if (name == "shape") field = Field::kShape;
    if (name == "data_offsets") field = Field::kOffsets;
    const auto bit = 1U << static_cast<unsigned>(field);
    if (field == Field::kNone || (fields_ & bit) != 0) NeedsFields();
    fields_ |= bit;
    field_ = field;
    return true;
  }
  bool parse_error(size_t /*position*/, const std::string& /*token*/,
                   const Json::exception& /*error*/) {
    return false;
  }

 private:
  enum class Field : unsigned { kNone, kType, kShape, kOffsets };
  static constexpr unsigned kAllFields = 0b1110;
  // How deep objects and lists lie in each other: metadata is flat, an entry has lists.
  static constexpr int kMaxDepth = 4;

  bool StartEntry(const std::string& name) {
    constexpr int64_t kAskPeriod = 1024;
    if (++entries_ % kAskPeriod == 0 && cancelled_ != nullptr && cancelled_()) {
      return Stop(absl::CancelledError("nobody waits for these weights any more"));
    }
    in_metadata_ = name == "__metadata__";
    if (in_metadata_ && std::exchange(has_metadata_, true)) {
      return Stop(Malformed("__metadata__ is there twice"));
    }
    if (entries_ - (has_metadata_ ? 1 : 0) > kMaxTensors) {
      return Stop(
          Malformed(absl::StrCat("more than ", kMaxTensors, " tensors, which is the most")));
    }
    if (static_cast<int64_t>(name.size()) > kMaxNameBytes)
      return Stop(LongName(name, kMaxNameBytes));
    tensor_ = TensorSpec();
    tensor_.name = name;
    fields_ = 0;
    field_ = Field::kNone;
    type_ = std::end(kElementTypes);
    sizes_are_whole_ = true;
    offset_count_ = 0;
    return true;
  }

  void EndEntry() {
    if (fields_ != kAllFields || offset_count_ != 2) NeedsFields();
    if (!problem_.ok()) return;
    if (!sizes_are_whole_) return Problem(" has a bad shape");
    tensor_.type = type_->type;
    problem_ = Measure(&tensor_);
    if (!problem_.ok()) return;
    if (offsets_[0] < 0 || offsets_[1] < 0 || offsets_[1] - offsets_[0] != tensor_.byte_count) {
      return Problem(absl::StrCat(": data_offsets do not hold ", tensor_.byte_count, " bytes"));
    }
    tensor_.offset = offsets_[0];
    tensors_.push_back(std::move(tensor_));
  }

  // A number where lists of them are; -1: none that is whole and in range.
  bool Number(int64_t value) {
    if (in_metadata_ || !in_list_ || depth_ != 3) return Other();
    if (field_ == Field::kShape) {
      sizes_are_whole_ = sizes_are_whole_ && value >= 0;
      // One more than may be says so; the rest is not kept.
      if (tensor_.shape.size() <= kMaxDimensions)
        tensor_.shape.push_back(std::max<int64_t>(0, value));
    } else {
      if (offset_count_ < 2) offsets_[offset_count_] = value;
      ++offset_count_;
    }
    return true;
  }

  // A value of a kind that is not expected where it is.
  bool Other() {
    if (in_metadata_ || depth_ == 0) return true;
    if (in_list_ && depth_ == 3 && field_ == Field::kShape) {
      sizes_are_whole_ = false;
    } else {
      NeedsFields();
    }
    return true;
  }

  bool Deeper() { return ++depth_ <= kMaxDepth; }
  bool Stop(absl::Status status) {
    stopped_ = std::move(status);
    return false;
  }
  void NeedsFields() { Problem(" needs dtype, shape and data_offsets alone"); }
  void Problem(absl::string_view what) {
    if (!problem_.ok()) return;
    problem_ = Malformed(absl::StrCat("tensor \"", absl::CHexEscape(tensor_.name), "\"", what));
  }

  const std::function<bool()>& cancelled_;
  std::vector<TensorSpec> tensors_;
  // The first thing that is wrong with a header that is JSON, and what ended the reading.
  absl::Status problem_;
  absl::Status stopped_;
  bool is_object_ = false;
  bool has_metadata_ = false;
  int64_t entries_ = 0;
  // Open objects and lists.
  int depth_ = 0;
  // The entry under way.
  TensorSpec tensor_;
  bool in_metadata_ = false;
  bool in_list_ = false;
  unsigned fields_ = 0;
  Field field_ = Field::kNone;
  const ElementTypeSpec* type_ = std::end(kElementTypes);
  bool sizes_are_whole_ = true;
  size_t offset_count_ = 0;
  std::array<int64_t, 2> offsets_{};
};

absl::Status CheckLimits(int64_t tensors, int64_t most_tensors, int64_t header_bytes,
                         int64_t most_header_bytes) {
  if (tensors > most_tensors) {
    return Malformed(absl::StrCat(tensors, " tensors, the most are ", most_tensors));
  }
  if (header_bytes > most_header_bytes) {
    return Malformed(
        absl::StrCat("a header of ", header_bytes, " bytes, the most are ", most_header_bytes));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<WeightsLayout> WeightsLayout::Create(std::vector<TensorSpec> tensors) {
  WeightsLayout layout;
  std::sort(tensors.begin(), tensors.end(),
            [](const TensorSpec& a, const TensorSpec& b) { return a.name < b.name; });
  for (TensorSpec& tensor : tensors) {
    if (tensor.name.empty() || tensor.name == "__metadata__") {
      return Malformed("a tensor without a name");
    }
    if (static_cast<int64_t>(tensor.name.size()) > kMaxNameBytes) {
      return LongName(tensor.name, kMaxNameBytes);
    }
    DISTILLERY_RETURN_IF_ERROR(Measure(&tensor));
    tensor.offset = layout.data_size_;
    if (__builtin_add_overflow(layout.data_size_, tensor.byte_count, &layout.data_size_)) {
      return Malformed("more bytes than fit");
    }
  }
  layout.tensors_ = std::move(tensors);
  DISTILLERY_RETURN_IF_ERROR(layout.SortNames());
  layout.canonical_ = true;
  layout.data_start_ = static_cast<int64_t>(layout.Header().size());
  DISTILLERY_RETURN_IF_ERROR(CheckLimits(static_cast<int64_t>(layout.tensors_.size()), kMaxTensors,
                                         layout.data_start_, kMaxHeaderBytes));
  return layout;
}

absl::StatusOr<WeightsLayout> WeightsLayout::Parse(absl::string_view file,
                                                   const std::function<bool()>& cancelled) {
  return ParseHeader(file, static_cast<int64_t>(file.size()), cancelled);
}

absl::StatusOr<int64_t> WeightsLayout::HeaderBytes(absl::string_view start, int64_t file_size) {
  if (file_size < kLengthBytes) return Malformed("shorter than its header length");
  uint64_t header_size = 0;
  std::memcpy(&header_size, start.data(), sizeof(header_size));
  if (header_size > static_cast<uint64_t>(kMaxHeaderBytes - kLengthBytes) ||
      header_size > static_cast<uint64_t>(file_size - kLengthBytes)) {
    return Malformed(absl::StrCat("header of ", header_size, " bytes in a file of ", file_size,
                                  "; the most are ", kMaxHeaderBytes - kLengthBytes));
  }
  return kLengthBytes + static_cast<int64_t>(header_size);
}

absl::StatusOr<WeightsLayout> WeightsLayout::ParseHeader(absl::string_view start, int64_t file_size,
                                                         const std::function<bool()>& cancelled) {
  WeightsLayout layout;
  DISTILLERY_ASSIGN_OR_RETURN(layout.data_start_, HeaderBytes(start, file_size));
  layout.data_size_ = file_size - layout.data_start_;
  const absl::string_view header = start.substr(0, static_cast<size_t>(layout.data_start_));
  DISTILLERY_ASSIGN_OR_RETURN(layout.tensors_,
                              HeaderReader(cancelled).Read(header.substr(kLengthBytes)));
  std::sort(
      layout.tensors_.begin(), layout.tensors_.end(), [](const TensorSpec& a, const TensorSpec& b) {
        return std::tie(a.offset, a.byte_count, a.name) < std::tie(b.offset, b.byte_count, b.name);
      });
  DISTILLERY_RETURN_IF_ERROR(layout.SortNames());
  int64_t end = 0;
  for (const TensorSpec& tensor : layout.tensors_) {
    if (tensor.offset != end) {
      return Malformed(absl::StrCat("a gap or overlap at byte ", end, " of the data"));
    }
    end += tensor.byte_count;
  }
  if (end != layout.data_size_) {
    return Malformed(
        absl::StrCat("the data has ", layout.data_size_, " bytes, the header says ", end));
  }
  layout.canonical_ = header == layout.Header();
  return layout;
}

absl::Status WeightsLayout::SortNames() {
  by_name_.resize(tensors_.size());
  std::iota(by_name_.begin(), by_name_.end(), 0);
  std::sort(by_name_.begin(), by_name_.end(),
            [this](uint32_t a, uint32_t b) { return tensors_[a].name < tensors_[b].name; });
  const auto same = std::adjacent_find(
      by_name_.begin(), by_name_.end(),
      [this](uint32_t a, uint32_t b) { return tensors_[a].name == tensors_[b].name; });
  if (same == by_name_.end()) return absl::OkStatus();
  return Malformed(
      absl::StrCat("tensor \"", absl::CHexEscape(tensors_[*same].name), "\" is there twice"));
}

const TensorSpec* WeightsLayout::Find(absl::string_view name) const {
  const auto found = std::lower_bound(
      by_name_.begin(), by_name_.end(), name,
      [this](uint32_t index, absl::string_view wanted) { return tensors_[index].name < wanted; });
  if (found == by_name_.end() || tensors_[*found].name != name) return nullptr;
  return &tensors_[*found];
}

std::string WeightsLayout::Header() const {
  std::string json = "{";
  for (const TensorSpec& tensor : tensors_) {
    absl::StrAppend(
        &json, json.size() > 1 ? "," : "",
        nlohmann::json(tensor.name).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace),
        ":{\"dtype\":\"", SpecOf(tensor.type).name, "\",\"shape\":[",
        absl::StrJoin(tensor.shape, ","), "],\"data_offsets\":[", tensor.offset, ",",
        tensor.offset + tensor.byte_count, "]}");
  }
  json += "}";
  json.append((8 - json.size() % 8) % 8, ' ');
  const uint64_t size = json.size();
  return std::string(reinterpret_cast<const char*>(&size), sizeof(size)) + json;
}

absl::Status CheckModelLayout(const WeightsLayout& layout) {
  for (const TensorSpec& tensor : layout.tensors()) {
    if (static_cast<int64_t>(tensor.name.size()) > kMaxModelNameBytes) {
      return LongName(tensor.name, kMaxModelNameBytes);
    }
  }
  return CheckLimits(static_cast<int64_t>(layout.tensors().size()), kMaxModelTensors,
                     layout.data_start(), kMaxModelHeaderBytes);
}

absl::Status CheckSameLayout(const WeightsLayout& expected, const WeightsLayout& got) {
  for (const TensorSpec& tensor : expected.tensors()) {
    const TensorSpec* const other = got.Find(tensor.name);
    if (other == nullptr) {
      return absl::FailedPreconditionError(
          absl::StrCat("weights: tensor \"", tensor.name, "\" is missing"));
    }
    if (other->type != tensor.type || other->shape != tensor.shape) {
      return absl::FailedPreconditionError(absl::StrCat("weights: tensor \"", tensor.name, "\" is ",
                                                        Describe(*other), ", expected ",
                                                        Describe(tensor)));
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
