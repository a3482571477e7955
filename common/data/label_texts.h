// Labels that are written as text, in a table or beside a text: classes by name, or values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/data/sample_spec.h"

namespace distillery {

// Where a cell stands, for messages: "train.csv:17: column age".
struct CellPlace {
  absl::string_view file;
  int64_t line = 0;
  // "column age", "label"
  absl::string_view what;

  std::string ToString() const;
  // INVALID_ARGUMENT "train.csv:17: column age: why".
  absl::Status Wrong(absl::string_view why) const;
};

// A number as people write it, without white space around it. INVALID_ARGUMENT "... is no number",
// and for what is not finite as a float32.
absl::StatusOr<float> ParseNumber(absl::string_view text, const CellPlace& place);
// Whether it is a number at all, infinite or NaN too.
bool LooksLikeNumber(absl::string_view text);

// Learns from the labels of train what the answer is.
//
// Texts are classes, named in their order as bytes. Whole numbers are classes too, in the order of
// their values, unless there are more than kMaxClasses; other numbers are one value. Numbers mixed
// with texts are refused, and dataset.json ("answer") can say what else they are.
class LabelTexts {
 public:
  // `column` names a value. `wanted`: what dataset.json says.
  LabelTexts(std::optional<AnswerKind> wanted, std::string column)
      : wanted_(wanted), column_(std::move(column)) {}

  // Whether no label was added.
  bool empty() const { return classes_.empty(); }
  // Adds one label of train. INVALID_ARGUMENT for an empty one.
  absl::Status Add(absl::string_view text, const CellPlace& place);
  // Call once, after all. INVALID_ARGUMENT for labels that are no answer.
  absl::Status Finish();

  // kClasses or kValues.
  AnswerKind kind() const { return kind_; }
  const std::vector<std::string>& names() const { return names_; }
  // The number of the class that `text` names. INVALID_ARGUMENT for one that train has not.
  absl::StatusOr<int32_t> Class(absl::string_view text, const CellPlace& place) const;

 private:
  void NameClasses();

  const std::optional<AnswerKind> wanted_;
  const std::string column_;
  AnswerKind kind_ = AnswerKind::kClasses;
  std::vector<std::string> names_;
  // Number of each class; at most kMaxClasses + 1.
  std::map<std::string, int32_t, std::less<>> classes_;
  bool all_whole_ = true;
  int64_t number_count_ = 0;
  // The first one that is no number, if there is one.
  absl::Status no_number_;
};

}  // namespace distillery
