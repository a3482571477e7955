#include "common/data/table.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/data/csv.h"
#include "common/data/label_texts.h"
#include "common/data/record_list.h"

namespace distillery {
namespace {

constexpr char kTrain[] = "train.csv";
constexpr char kTest[] = "test.csv";
// Texts of one column. More are names or sentences, of which no model of a table learns.
constexpr size_t kMaxCategories = 1024;

// A column of features: of numbers, or of texts.
class FeatureColumn {
 public:
  FeatureColumn(std::string name, bool categorical)
      : name_(std::move(name)),
        what_(absl::StrCat("column ", Printable(name_))),
        declared_(categorical) {}

  const std::string& name() const { return name_; }
  absl::string_view what() const { return what_; }

  // Learns from one cell of train.
  absl::Status Add(absl::string_view text, const CellPlace& place) {
    if (text.empty()) return place.Wrong("the cell is empty");
    if (!declared_ && LooksLikeNumber(text)) {
      if (number_.empty()) number_ = std::string(text);
      number_line_ = number_line_ == 0 ? place.line : number_line_;
      return absl::OkStatus();
    }
    if (no_number_.ok()) {
      no_number_ = place.Wrong(absl::StrCat("\"", Printable(text), "\" is no number"));
    }
    if (categories_.find(text) != categories_.end()) return absl::OkStatus();
    if (categories_.size() == kMaxCategories) {
      return place.Wrong(
          absl::StrCat("more than ", kMaxCategories, " unlike texts: take the column out"));
    }
    categories_.emplace(text, 0);
    return absl::OkStatus();
  }

  absl::Status Finish() {
    if (!no_number_.ok() && number_line_ > 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(no_number_.message(), ", as line ", number_line_, " has one (", number_,
                       "); if its numbers are names, say {\"categorical\": [\"", Printable(name_),
                       "\"]} in dataset.json"));
    }
    int64_t place = 0;
    for (auto& [text, index] : categories_) index = place++;
    return absl::OkStatus();
  }

  int64_t width() const {
    return categories_.empty() ? 1 : static_cast<int64_t>(categories_.size());
  }

  // Appends width() names.
  void AddNames(std::vector<std::string>* names) const {
    if (categories_.empty()) names->push_back(name_);
    for (const auto& [text, index] : categories_) names->push_back(absl::StrCat(name_, "=", text));
  }

  // Writes width() features, which are 0 before.
  absl::Status Store(absl::string_view text, const CellPlace& place, uint8_t* output) const {
    float value = 1;
    int64_t index = 0;
    if (categories_.empty()) {
      DISTILLERY_ASSIGN_OR_RETURN(value, ParseNumber(text, place));
    } else {
      const auto found = categories_.find(text);
      if (found == categories_.end()) {
        return place.Wrong(absl::StrCat("\"", Printable(text),
                                        "\" is in no row of train, so nothing was learnt of it"));
      }
      index = found->second;
    }
    std::memcpy(output + index * static_cast<int64_t>(sizeof(value)), &value, sizeof(value));
    return absl::OkStatus();
  }

 private:
  const std::string name_;
  const std::string what_;
  // dataset.json says that these are texts.
  const bool declared_;
  // The first number and its line, 0 if there is none.
  std::string number_;
  int64_t number_line_ = 0;
  absl::Status no_number_;
  // Which feature each text is; empty for numbers.
  std::map<std::string, int64_t, std::less<>> categories_;
};

class TableReader {
 public:
  TableReader(const TableOptions& options, int64_t max_bytes)
      : options_(options), max_bytes_(max_bytes) {}

  absl::StatusOr<StoredSamples> Read(absl::string_view train, absl::string_view test) {
    DISTILLERY_RETURN_IF_ERROR(ReadHeader(train));
    DISTILLERY_RETURN_IF_ERROR(Learn(train));
    InputSpec features{"features", ElementType::kFloat32, {0}, 0, 0};
    for (const FeatureColumn& column : columns_) features.shape[0] += column.width();
    samples_.spec.inputs = {std::move(features)};
    samples_.spec.answer.kind = labels_->kind();
    DISTILLERY_RETURN_IF_ERROR(CheckSampleSpec(samples_.spec));
    samples_.class_names = labels_->names();
    DISTILLERY_RETURN_IF_ERROR(Store(train, kTrain, &samples_.train));
    DISTILLERY_RETURN_IF_ERROR(Store(test, kTest, &samples_.test));
    return std::move(samples_);
  }

  absl::StatusOr<TableRows> ReadRows(absl::string_view train, absl::string_view text,
                                     absl::string_view file) {
    DISTILLERY_RETURN_IF_ERROR(ReadHeader(train));
    DISTILLERY_RETURN_IF_ERROR(Learn(train));
    TableRows rows;
    for (const FeatureColumn& column : columns_) column.AddNames(&rows.feature_names);
    if (text.empty()) return rows;
    CsvReader reader(text, std::string(file));
    DISTILLERY_ASSIGN_OR_RETURN(CsvRow row, HeaderOf(&reader, file));
    DISTILLERY_ASSIGN_OR_RETURN(const std::vector<size_t> places, PlacesOf(row, file));
    const size_t cells = row.cells.size();
    while (true) {
      DISTILLERY_ASSIGN_OR_RETURN(const bool found, reader.Next(&row));
      if (!found) return rows;
      if (row.cells.size() != cells) {
        return Wrong(file, row.line,
                     absl::StrCat(row.cells.size(), " cells, there are ", cells, " columns"));
      }
      size_t at = rows.features.size();
      rows.features.resize(at + rows.feature_names.size());
      for (size_t i = 0; i < columns_.size(); ++i) {
        DISTILLERY_RETURN_IF_ERROR(
            columns_[i].Store(absl::StripAsciiWhitespace(row.cells[places[i]]),
                              CellPlace{file, row.line, columns_[i].what()},
                              reinterpret_cast<uint8_t*>(&rows.features[at])));
        at += static_cast<size_t>(columns_[i].width());
      }
    }
  }

 private:
  using VisitRow = std::function<absl::Status(const CsvRow& row)>;

  static absl::Status Wrong(absl::string_view file, int64_t line, absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat(file, ":", line, ": ", why));
  }

  // The names of the columns.
  static absl::StatusOr<CsvRow> HeaderOf(CsvReader* reader, absl::string_view file) {
    CsvRow header;
    DISTILLERY_ASSIGN_OR_RETURN(const bool found, reader->Next(&header));
    if (!found) return Wrong(file, 1, "the file is empty, wanted: a line with the columns' names");
    for (std::string& cell : header.cells) absl::StripAsciiWhitespace(&cell);
    return header;
  }

  // Where each column of features stands in another header.
  absl::StatusOr<std::vector<size_t>> PlacesOf(const CsvRow& header, absl::string_view file) const {
    for (const std::string& name : header.cells) {
      if (std::find(header_.begin(), header_.end(), name) != header_.end()) continue;
      return Wrong(file, header.line, UnknownName("column", name, header_));
    }
    std::vector<size_t> places;
    for (const FeatureColumn& column : columns_) {
      const auto found = std::find(header.cells.begin(), header.cells.end(), column.name());
      if (found == header.cells.end()) {
        return Wrong(file, header.line,
                     absl::StrCat("there is no column ", Printable(column.name()), ", which ",
                                  kTrain, " has"));
      }
      places.push_back(static_cast<size_t>(found - header.cells.begin()));
    }
    return places;
  }

  absl::Status ReadHeader(absl::string_view train) {
    CsvReader reader(train, kTrain);
    DISTILLERY_ASSIGN_OR_RETURN(const CsvRow header, HeaderOf(&reader, kTrain));
    header_ = header.cells;
    DISTILLERY_RETURN_IF_ERROR(CheckHeader(header.line));
    DISTILLERY_ASSIGN_OR_RETURN(label_, FindLabel());
    std::set<std::string> categorical(options_.categorical.begin(), options_.categorical.end());
    for (size_t i = 0; i < header_.size(); ++i) {
      if (i != label_) columns_.emplace_back(header_[i], categorical.count(header_[i]) > 0);
      if (i != label_) categorical.erase(header_[i]);
    }
    if (!categorical.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("dataset.json: categorical: ",
                       UnknownName("column of features", *categorical.begin(), header_)));
    }
    labels_.emplace(options_.answer, header_[label_]);
    label_what_ = absl::StrCat("column ", Printable(header_[label_]));
    return absl::OkStatus();
  }

  absl::Status CheckHeader(int64_t line) const {
    std::set<absl::string_view> seen;
    for (size_t i = 0; i < header_.size(); ++i) {
      const std::string& name = header_[i];
      if (name.empty()) {
        return Wrong(kTrain, line,
                     absl::StrCat("column ", i + 1,
                                  " has no name; pandas writes its index so: "
                                  "save with index=False"));
      }
      if (!seen.insert(name).second) {
        return Wrong(kTrain, line,
                     absl::StrCat("two columns have the name \"", Printable(name), "\""));
      }
    }
    if (std::all_of(header_.begin(), header_.end(), LooksLikeNumber)) {
      return Wrong(kTrain, line, "these are numbers, wanted: a line with the columns' names");
    }
    if (header_.size() > 1) return absl::OkStatus();
    const bool other = absl::StrContains(header_[0], ";") || absl::StrContains(header_[0], "\t");
    return Wrong(kTrain, line,
                 absl::StrCat("there is one column alone, wanted: features and a label",
                              other ? "; cells are set apart by commas" : ""));
  }

  absl::StatusOr<size_t> FindLabel() const {
    const std::string wanted = options_.label.empty() ? "label" : options_.label;
    const auto found = std::find(header_.begin(), header_.end(), wanted);
    if (found != header_.end()) return static_cast<size_t>(found - header_.begin());
    if (options_.label.empty()) return header_.size() - 1;
    return absl::InvalidArgumentError(
        absl::StrCat("dataset.json: label: ", UnknownName("column", wanted, header_)));
  }

  // Visits the rows below the header, their cells stripped.
  absl::Status ForEachRow(absl::string_view text, const char* file, const VisitRow& visit) const {
    CsvReader reader(text, file);
    DISTILLERY_ASSIGN_OR_RETURN(CsvRow row, HeaderOf(&reader, file));
    if (row.cells != header_) {
      return Wrong(file, row.line, absl::StrCat("other columns than in ", kTrain));
    }
    while (true) {
      DISTILLERY_ASSIGN_OR_RETURN(const bool found, reader.Next(&row));
      if (!found) return absl::OkStatus();
      if (row.cells.size() != header_.size()) {
        return Wrong(
            file, row.line,
            absl::StrCat(row.cells.size(), " cells, there are ", header_.size(), " columns"));
      }
      for (std::string& cell : row.cells) absl::StripAsciiWhitespace(&cell);
      DISTILLERY_RETURN_IF_ERROR(visit(row));
    }
  }

  // Calls visit(column, cell, place) for each feature of a row.
  template <typename Visit>
  absl::Status ForEachFeature(const CsvRow& row, const char* file, const Visit& visit) {
    size_t cell = 0;
    for (FeatureColumn& column : columns_) {
      if (cell == label_) ++cell;
      DISTILLERY_RETURN_IF_ERROR(
          visit(column, row.cells[cell++], CellPlace{file, row.line, column.what()}));
    }
    return absl::OkStatus();
  }

  absl::Status Learn(absl::string_view train) {
    DISTILLERY_RETURN_IF_ERROR(ForEachRow(train, kTrain, [&](const CsvRow& row) {
      absl::Status learnt = ForEachFeature(
          row, kTrain, [](FeatureColumn& column, absl::string_view cell, const CellPlace& place) {
            return column.Add(cell, place);
          });
      if (!learnt.ok()) return learnt;
      return labels_->Add(row.cells[label_], CellPlace{kTrain, row.line, label_what_});
    }));
    if (labels_->empty())
      return Wrong(kTrain, 1, "there are columns' names, and no row below them");
    for (FeatureColumn& column : columns_) DISTILLERY_RETURN_IF_ERROR(column.Finish());
    return labels_->Finish();
  }

  absl::Status Store(absl::string_view text, const char* file, IndexList* members) {
    RecordList records(&samples_, max_bytes_);
    const int64_t feature_bytes = samples_.spec.input_bytes();
    const int64_t first = samples_.size();
    DISTILLERY_RETURN_IF_ERROR(ForEachRow(text, file, [&](const CsvRow& row) -> absl::Status {
      const CellPlace place{file, row.line, label_what_};
      const std::string& label = row.cells[label_];
      const bool classes = labels_->kind() == AnswerKind::kClasses;
      int32_t number = 0;
      float value = 0;
      if (classes) {
        DISTILLERY_ASSIGN_OR_RETURN(number, labels_->Class(label, place));
      } else {
        DISTILLERY_ASSIGN_OR_RETURN(value, ParseNumber(label, place));
      }
      DISTILLERY_ASSIGN_OR_RETURN(uint8_t * record, records.Add(number));
      if (!classes) std::memcpy(record + feature_bytes, &value, sizeof(value));
      return ForEachFeature(
          row, file, [&](FeatureColumn& column, absl::string_view cell, const CellPlace& at) {
            absl::Status stored = column.Store(cell, at, record);
            record += column.width() * static_cast<int64_t>(sizeof(float));
            return stored;
          });
    }));
    *members = IndexList::Range(first, samples_.size() - first);
    return absl::OkStatus();
  }

  const TableOptions& options_;
  const int64_t max_bytes_;
  std::vector<std::string> header_;
  // The column of the labels, and what messages call it.
  size_t label_ = 0;
  std::string label_what_;
  std::vector<FeatureColumn> columns_;
  std::optional<LabelTexts> labels_;
  StoredSamples samples_;
};

}  // namespace

absl::StatusOr<StoredSamples> ReadTable(absl::string_view train, absl::string_view test,
                                        const TableOptions& options, int64_t max_bytes) {
  return TableReader(options, max_bytes).Read(train, test);
}

absl::StatusOr<TableRows> ReadTableRows(absl::string_view train, absl::string_view text,
                                        absl::string_view file, const TableOptions& options) {
  return TableReader(options, /*max_bytes=*/0).ReadRows(train, text, file);
}

}  // namespace distillery
