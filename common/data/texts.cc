#include "common/data/texts.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/data/byte_tokens.h"
#include "common/data/label_texts.h"
#include "common/data/record_list.h"

namespace distillery {
namespace {

constexpr auto kTokenBytes = static_cast<int64_t>(sizeof(int64_t));

InputSpec TokensOf(int64_t length) {
  return {"tokens", ElementType::kInt64, {length}, 0, kByteVocabulary};
}

// Writes as many tokens as fit; the rest stays 0, which is kPadding.
void StoreTokens(absl::string_view text, int64_t length, uint8_t* output) {
  static_assert(kPadding == 0);
  const int64_t count = std::min(length, static_cast<int64_t>(text.size()));
  for (int64_t i = 0; i < count; ++i) {
    const int64_t token = TokenOf(text[static_cast<size_t>(i)]);
    std::memcpy(output + i * kTokenBytes, &token, sizeof(token));
  }
}

// Appends the texts of a split, and returns their stored indexes.
absl::StatusOr<IndexList> AddTexts(const TextSplit& split, const LabelTexts& labels, int64_t length,
                                   int64_t max_bytes, StoredSamples* samples) {
  RecordList records(samples, max_bytes);
  const int64_t first = samples->size();
  int64_t cut = 0;
  for (const TextRow& row : split.rows) {
    if (row.text.empty()) return CellPlace{split.file, row.line, "text"}.Wrong("the text is empty");
    const CellPlace place{split.file, row.line, "label"};
    const bool classes = labels.kind() == AnswerKind::kClasses;
    int32_t number = 0;
    float value = 0;
    if (classes) {
      DISTILLERY_ASSIGN_OR_RETURN(number, labels.Class(row.label, place));
    } else {
      DISTILLERY_ASSIGN_OR_RETURN(value, ParseNumber(row.label, place));
    }
    DISTILLERY_ASSIGN_OR_RETURN(uint8_t* const record, records.Add(number));
    StoreTokens(row.text, length, record);
    const auto tokens = static_cast<int64_t>(row.text.size());
    std::memset(record + length * kTokenBytes, 1, static_cast<size_t>(std::min(tokens, length)));
    if (!classes) std::memcpy(record + length * (kTokenBytes + 1), &value, sizeof(value));
    if (tokens > length) ++cut;
  }
  if (cut > 0) {
    samples->left_out.push_back(
        {absl::StrCat("the ends of ", cut, " of ", split.rows.size(), " texts of ", split.file,
                      " that have more than ", length, " bytes (\"length\" in dataset.json)"),
         0});
  }
  return IndexList::Range(first, samples->size() - first);
}

// Appends the windows of a text, and returns their stored indexes.
absl::StatusOr<IndexList> AddWindows(absl::string_view text, absl::string_view file, int64_t length,
                                     int64_t max_bytes, StoredSamples* samples) {
  if (text.size() < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, " has ", text.size(), " bytes, wanted: at least 2"));
  }
  RecordList records(samples, max_bytes);
  const int64_t first = samples->size();
  const auto size = static_cast<int64_t>(text.size());
  // The last byte is a label alone.
  for (int64_t start = 0; start < size - 1; start += length) {
    DISTILLERY_ASSIGN_OR_RETURN(uint8_t* const record, records.Add(0));
    StoreTokens(text.substr(static_cast<size_t>(start), static_cast<size_t>(length)), length,
                record);
    uint8_t* const labels = record + length * kTokenBytes;
    for (int64_t i = 0; i < length; ++i) {
      const int64_t next = start + i + 1;
      const int32_t label =
          next < size ? static_cast<int32_t>(TokenOf(text[static_cast<size_t>(next)])) : kNoLabel;
      std::memcpy(labels + i * static_cast<int64_t>(sizeof(label)), &label, sizeof(label));
    }
  }
  return IndexList::Range(first, samples->size() - first);
}

}  // namespace

absl::StatusOr<StoredSamples> ReadTexts(const TextSplit& train, const TextSplit& test,
                                        const TextOptions& options, int64_t max_bytes) {
  LabelTexts labels(options.answer, "label");
  for (const TextRow& row : train.rows) {
    DISTILLERY_RETURN_IF_ERROR(labels.Add(row.label, CellPlace{train.file, row.line, "label"}));
  }
  if (labels.empty()) return absl::InvalidArgumentError(train.file + " holds no texts");
  DISTILLERY_RETURN_IF_ERROR(labels.Finish());
  StoredSamples samples;
  samples.spec.inputs = {TokensOf(options.length),
                         {"mask", ElementType::kUInt8, {options.length}, 0, 0}};
  samples.spec.answer.kind = labels.kind();
  samples.class_names = labels.names();
  DISTILLERY_ASSIGN_OR_RETURN(samples.train,
                              AddTexts(train, labels, options.length, max_bytes, &samples));
  DISTILLERY_ASSIGN_OR_RETURN(samples.test,
                              AddTexts(test, labels, options.length, max_bytes, &samples));
  return samples;
}

absl::StatusOr<StoredSamples> ReadLanguage(absl::string_view train, absl::string_view test,
                                           int64_t length, int64_t max_bytes) {
  StoredSamples samples;
  samples.spec.inputs = {TokensOf(length)};
  samples.spec.answer.positions = {length};
  samples.class_names = ByteTokenNames();
  DISTILLERY_ASSIGN_OR_RETURN(samples.train,
                              AddWindows(train, "train.txt", length, max_bytes, &samples));
  DISTILLERY_ASSIGN_OR_RETURN(samples.test,
                              AddWindows(test, "test.txt", length, max_bytes, &samples));
  return samples;
}

}  // namespace distillery
