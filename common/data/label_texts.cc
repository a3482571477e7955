#include "common/data/label_texts.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/data/class_names.h"

namespace distillery {
namespace {

// Longer numbers are none: reading them is not to take long.
constexpr size_t kMaxNumberBytes = 64;
// Classes that a message names.
constexpr size_t kMostClassesNamed = 20;

bool IsWhole(absl::string_view text) {
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) text.remove_prefix(1);
  return !text.empty() && std::all_of(text.begin(), text.end(), absl::ascii_isdigit);
}

bool ParseDouble(absl::string_view text, double* value) {
  return text.size() <= kMaxNumberBytes && absl::SimpleAtod(text, value);
}

}  // namespace

std::string CellPlace::ToString() const { return absl::StrCat(file, ":", line, ": ", what); }

absl::Status CellPlace::Wrong(absl::string_view why) const {
  return absl::InvalidArgumentError(absl::StrCat(ToString(), ": ", why));
}

bool LooksLikeNumber(absl::string_view text) {
  double ignored = 0;
  return ParseDouble(text, &ignored);
}

absl::StatusOr<float> ParseNumber(absl::string_view text, const CellPlace& place) {
  double value = 0;
  if (!ParseDouble(text, &value)) {
    return place.Wrong(text.empty() ? "the cell is empty, wanted: a number"
                                    : absl::StrCat("\"", Printable(text), "\" is no number"));
  }
  if (!std::isfinite(value) || std::abs(value) > std::numeric_limits<float>::max()) {
    return place.Wrong(absl::StrCat("\"", Printable(text), "\" is no finite number of float32"));
  }
  return static_cast<float>(value);
}

absl::Status LabelTexts::Add(absl::string_view text, const CellPlace& place) {
  if (text.empty()) return place.Wrong("there is no label");
  if (LooksLikeNumber(text)) {
    ++number_count_;
    all_whole_ = all_whole_ && IsWhole(text);
    if (!all_whole_) DISTILLERY_RETURN_IF_ERROR(ParseNumber(text, place).status());
  } else if (no_number_.ok()) {
    no_number_ = place.Wrong(absl::StrCat("\"", Printable(text), "\" is no number"));
  }
  if (static_cast<int64_t>(classes_.size()) <= kMaxClasses &&
      classes_.find(text) == classes_.end()) {
    classes_.emplace(text, 0);
  }
  return absl::OkStatus();
}

void LabelTexts::NameClasses() {
  // They are in the order of their bytes.
  for (const auto& entry : classes_) names_.push_back(entry.first);
  if (no_number_.ok() && all_whole_) {
    std::stable_sort(names_.begin(), names_.end(), [](const auto& a, const auto& b) {
      double left = 0;
      double right = 0;
      return ParseDouble(a, &left) && ParseDouble(b, &right) && left < right;
    });
  }
  for (size_t i = 0; i < names_.size(); ++i) classes_[names_[i]] = static_cast<int32_t>(i);
}

absl::Status LabelTexts::Finish() {
  const bool many = static_cast<int64_t>(classes_.size()) > kMaxClasses;
  if (wanted_.has_value()) {
    kind_ = *wanted_;
  } else if (no_number_.ok()) {
    kind_ = all_whole_ && !many ? AnswerKind::kClasses : AnswerKind::kValues;
  } else if (number_count_ > 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(no_number_.message(), ", as ", number_count_,
                     " other labels are; if all are "
                     "names of classes, say {\"answer\": \"classes\"} in dataset.json"));
  }
  if (kind_ == AnswerKind::kValues) {
    classes_.clear();
    names_ = {column_};
    DISTILLERY_RETURN_IF_ERROR(no_number_);
  } else if (many) {
    return absl::InvalidArgumentError(
        absl::StrCat("labels of train: there are more than ", kMaxClasses, " unlike ones"));
  } else {
    NameClasses();
  }
  return Annotate(CheckClassNames(names_, LeastNames({kind_, {}})), "labels of train");
}

absl::StatusOr<int32_t> LabelTexts::Class(absl::string_view text, const CellPlace& place) const {
  const auto found = classes_.find(text);
  if (found != classes_.end()) return found->second;
  if (names_.size() <= kMostClassesNamed) return place.Wrong(UnknownName("class", text, names_));
  return place.Wrong(absl::StrCat("\"", Printable(text), "\" is no label of train"));
}

}  // namespace distillery
