#include "cli/report/results.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kFormat = 1;
constexpr int64_t kMostDecimals = 6;
constexpr int kDeepest = 32;
constexpr int64_t kMaxResultsBytes = int64_t{256} << 20;
constexpr std::array<std::pair<FigureKind, const char*>, 4> kKinds = {{
    {FigureKind::kLines, "lines"},
    {FigureKind::kBars, "bars"},
    {FigureKind::kHeatMap, "heat_map"},
    {FigureKind::kScatter, "scatter"},
}};

std::string KindName(FigureKind kind) {
  for (const auto& [known, name] : kKinds) {
    if (known == kind) return name;
  }
  return "";
}

absl::Status Wrong(const std::string& where, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(where, " ", what));
}

absl::Status CheckLength(const std::string& where, size_t got, size_t wanted,
                         absl::string_view of) {
  if (got == wanted) return absl::OkStatus();
  return Wrong(where, absl::StrCat("must be as long as ", of, ", ", wanted, ", got ", got));
}

absl::Status CheckFinite(const std::string& where, const std::vector<double>& values) {
  for (const double value : values) {
    if (!std::isfinite(value)) return Wrong(where, "must hold finite numbers");
  }
  return absl::OkStatus();
}

absl::Status CheckPositive(const std::string& where, const ResultAxis& axis,
                           const std::vector<double>& values) {
  if (!axis.logarithmic) return absl::OkStatus();
  for (const double value : values) {
    if (value <= 0) {
      return Wrong(where, absl::StrCat("must be > 0 on a logarithmic axis, got ", value));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckTable(const std::string& where, const ResultTable& table) {
  for (size_t i = 0; i < table.columns.size(); ++i) {
    const int64_t decimals = table.columns[i].decimals;
    if (decimals < 0 || decimals > kMostDecimals) {
      return Wrong(absl::StrCat(where, ".columns[", i, "].decimals"),
                   absl::StrCat("must be 0 to ", kMostDecimals, ", got ", decimals));
    }
  }
  for (size_t i = 0; i < table.rows.size(); ++i) {
    const std::string row = absl::StrCat(where, ".rows[", i, "]");
    DISTILLERY_RETURN_IF_ERROR(
        CheckLength(row, table.rows[i].size(), table.columns.size(), "columns"));
    for (const ResultCell& cell : table.rows[i]) {
      DISTILLERY_RETURN_IF_ERROR(
          CheckFinite(row, {cell.value.value_or(0), cell.half_width.value_or(0)}));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckSeries(const std::string& where, const ResultFigure& figure,
                         const ResultSeries& series) {
  for (const auto* const values : {&series.x, &series.y, &series.low, &series.high}) {
    DISTILLERY_RETURN_IF_ERROR(CheckFinite(where, *values));
  }
  const size_t count = series.y.size();
  if (figure.kind == FigureKind::kBars) {
    if (!series.x.empty()) return Wrong(where + ".x", "must be empty for bars: see x_labels");
    DISTILLERY_RETURN_IF_ERROR(
        CheckLength(where + ".y", count, figure.x_labels.size(), "x_labels"));
  } else {
    DISTILLERY_RETURN_IF_ERROR(CheckLength(where + ".x", series.x.size(), count, "y"));
    DISTILLERY_RETURN_IF_ERROR(CheckPositive(where + ".x", figure.x, series.x));
  }
  if (figure.kind == FigureKind::kLines && !std::is_sorted(series.x.begin(), series.x.end())) {
    return Wrong(where + ".x", "must ascend");
  }
  DISTILLERY_RETURN_IF_ERROR(CheckPositive(where + ".y", figure.y, series.y));
  DISTILLERY_RETURN_IF_ERROR(CheckPositive(where + ".low", figure.y, series.low));
  DISTILLERY_RETURN_IF_ERROR(
      CheckLength(where + ".high", series.high.size(), series.low.size(), "low"));
  if (!series.low.empty()) {
    DISTILLERY_RETURN_IF_ERROR(CheckLength(where + ".low", series.low.size(), count, "y"));
  }
  if (!series.labels.empty()) {
    if (figure.kind != FigureKind::kScatter) {
      return Wrong(where + ".labels", "must be empty unless the figure is a scatter");
    }
    DISTILLERY_RETURN_IF_ERROR(CheckLength(where + ".labels", series.labels.size(), count, "y"));
  }
  return absl::OkStatus();
}

absl::Status CheckHeatMap(const std::string& where, const ResultFigure& figure) {
  if (!figure.series.empty()) return Wrong(where + ".series", "must be empty for a heat map");
  DISTILLERY_RETURN_IF_ERROR(
      CheckLength(where + ".values", figure.values.size(), figure.y_labels.size(), "y_labels"));
  for (size_t i = 0; i < figure.values.size(); ++i) {
    const std::string row = absl::StrCat(where, ".values[", i, "]");
    DISTILLERY_RETURN_IF_ERROR(
        CheckLength(row, figure.values[i].size(), figure.x_labels.size(), "x_labels"));
    DISTILLERY_RETURN_IF_ERROR(CheckFinite(row, figure.values[i]));
    DISTILLERY_RETURN_IF_ERROR(CheckPositive(row, figure.value, figure.values[i]));
  }
  if (figure.mark.has_value()) {
    const auto [row, column] = *figure.mark;
    if (row < 0 || row >= static_cast<int64_t>(figure.y_labels.size()) || column < 0 ||
        column >= static_cast<int64_t>(figure.x_labels.size())) {
      return Wrong(where + ".mark",
                   absl::StrCat("must be a cell of the map, got row ", row, ", column ", column));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckFigure(const std::string& where, const ResultFigure& figure) {
  if (figure.kind == FigureKind::kHeatMap) return CheckHeatMap(where, figure);
  if (!figure.y_labels.empty() || !figure.values.empty() || figure.mark.has_value()) {
    return Wrong(where,
                 absl::StrCat("has y_labels, values or mark, which belong to a heat_map, not "
                              "to ",
                              KindName(figure.kind)));
  }
  if (figure.kind != FigureKind::kBars && !figure.x_labels.empty()) {
    return Wrong(where + ".x_labels", "must be empty unless the figure is bars or a heat_map");
  }
  for (size_t i = 0; i < figure.series.size(); ++i) {
    DISTILLERY_RETURN_IF_ERROR(
        CheckSeries(absl::StrCat(where, ".series[", i, "]"), figure, figure.series[i]));
  }
  return absl::OkStatus();
}

Json ToJson(const ResultCell& cell) {
  if (!cell.value.has_value()) return cell.text.empty() ? Json() : Json(cell.text);
  if (!cell.half_width.has_value()) return *cell.value;
  return {{"value", *cell.value}, {"half_width", *cell.half_width}};
}

Json ToJson(const ResultTable& table) {
  Json json;
  json["title"] = table.title;
  json["columns"] = Json::array();
  for (const ResultColumn& column : table.columns) {
    json["columns"].push_back(
        {{"name", column.name}, {"unit", column.unit}, {"decimals", column.decimals}});
  }
  json["rows"] = Json::array();
  for (const auto& row : table.rows) {
    Json cells = Json::array();
    for (const ResultCell& cell : row) cells.push_back(ToJson(cell));
    json["rows"].push_back(std::move(cells));
  }
  json["note"] = table.note;
  return json;
}

Json ToJson(const ResultAxis& axis) {
  return {{"label", axis.label}, {"unit", axis.unit}, {"logarithmic", axis.logarithmic}};
}

Json ToJson(const ResultFigure& figure) {
  Json json;
  json["kind"] = KindName(figure.kind);
  json["title"] = figure.title;
  json["x"] = ToJson(figure.x);
  json["y"] = ToJson(figure.y);
  if (figure.kind == FigureKind::kBars || figure.kind == FigureKind::kHeatMap) {
    json["x_labels"] = figure.x_labels;
  }
  if (figure.kind == FigureKind::kHeatMap) {
    json["y_labels"] = figure.y_labels;
    json["value"] = ToJson(figure.value);
    json["values"] = figure.values;
    if (figure.mark.has_value()) {
      json["mark"] = {{"row", figure.mark->first}, {"column", figure.mark->second}};
    }
  } else {
    json["series"] = Json::array();
    for (const ResultSeries& series : figure.series) {
      Json one;
      one["name"] = series.name;
      if (figure.kind != FigureKind::kBars) one["x"] = series.x;
      one["y"] = series.y;
      if (!series.low.empty()) {
        one["low"] = series.low;
        one["high"] = series.high;
      }
      if (!series.labels.empty()) one["labels"] = series.labels;
      json["series"].push_back(std::move(one));
    }
  }
  json["note"] = figure.note;
  return json;
}

Json ToJson(const ResultRun& run) {
  Json json;
  json["name"] = run.name;
  json["run_id"] = run.run_id;
  json["folder"] = run.folder;
  json["teacher"] = run.teacher;
  json["seed"] = run.seed;
  json["weights_sha256"] = run.weights_sha256;
  json["main"] = run.main;
  if (!run.panels.empty()) json["panels"] = Json::parse(run.panels, nullptr, false);
  return json;
}

// An object of the file whose keys are taken one by one; the first error sticks.
class ObjectReader {
 public:
  ObjectReader(const Json& json, std::string where, absl::Status* status)
      : json_(json), where_(std::move(where)), status_(status) {
    if (!json.is_object()) Fail(where_.empty() ? "the text" : where_, "must be an object");
  }

  // Refuses what was not asked for.
  void Finish() {
    if (!json_.is_object()) return;
    for (const auto& [key, value] : json_.items()) {
      if (std::find(known_.begin(), known_.end(), key) == known_.end()) {
        Fail(Path(key), "is no key here");
      }
    }
  }

  std::string Path(const std::string& key) const {
    return where_.empty() ? key : absl::StrCat(where_, ".", key);
  }
  // Null if the key is missing, which is an error unless it is optional.
  const Json* Find(const std::string& key, bool optional = false) {
    known_.push_back(key);
    if (!json_.is_object()) return nullptr;
    const auto found = json_.find(key);
    if (found != json_.end()) return &*found;
    if (!optional) Fail(Path(key), "is missing");
    return nullptr;
  }
  void Fail(const std::string& where, absl::string_view what) const {
    if (status_->ok()) *status_ = Wrong(where, what);
  }

  void Take(const std::string& key, std::string* value) {
    if (const Json* const found = Find(key)) Text(*found, Path(key), value);
  }
  void Take(const std::string& key, int64_t* value) {
    if (const Json* const found = Find(key)) Whole(*found, Path(key), value);
  }
  void Take(const std::string& key, double* value) {
    if (const Json* const found = Find(key)) Number(*found, Path(key), value);
  }
  void Take(const std::string& key, bool* value) {
    const Json* const found = Find(key);
    if (found == nullptr) return;
    if (!found->is_boolean()) return Fail(Path(key), "must be true or false");
    *value = found->get<bool>();
  }
  void Take(const std::string& key, std::vector<std::string>* values, bool optional = false) {
    TakeList(key, values, optional, &ObjectReader::Text);
  }
  void Take(const std::string& key, std::vector<int64_t>* values) {
    TakeList(key, values, false, &ObjectReader::Whole);
  }
  void Take(const std::string& key, std::vector<double>* values, bool optional = false) {
    TakeList(key, values, optional, &ObjectReader::Number);
  }
  // `read(json, where, status, &value)` for each of a list.
  template <typename T, typename Read>
  void TakeEach(const std::string& key, std::vector<T>* values, const Read& read) {
    const Json* const found = Find(key);
    if (found == nullptr) return;
    if (!found->is_array()) return Fail(Path(key), "must be a list");
    values->resize(found->size());
    for (size_t i = 0; i < found->size(); ++i) {
      read((*found)[i], absl::StrCat(Path(key), "[", i, "]"), status_, &(*values)[i]);
    }
  }
  void Text(const Json& json, const std::string& where, std::string* value) const {
    if (!json.is_string()) return Fail(where, "must be text");
    *value = json.get<std::string>();
  }
  void Whole(const Json& json, const std::string& where, int64_t* value) const {
    if (!json.is_number_integer()) return Fail(where, "must be a whole number");
    *value = json.get<int64_t>();
  }
  void Number(const Json& json, const std::string& where, double* value) const {
    if (!json.is_number()) return Fail(where, "must be a number");
    *value = json.get<double>();
  }
  absl::Status* status() const { return status_; }

 private:
  template <typename T>
  void TakeList(const std::string& key, std::vector<T>* values, bool optional,
                void (ObjectReader::*read)(const Json&, const std::string&, T*) const) {
    const Json* const found = Find(key, optional);
    if (found == nullptr) return;
    if (!found->is_array()) return Fail(Path(key), "must be a list");
    values->resize(found->size());
    for (size_t i = 0; i < found->size(); ++i) {
      (this->*read)((*found)[i], absl::StrCat(Path(key), "[", i, "]"), &(*values)[i]);
    }
  }

  const Json& json_;
  const std::string where_;
  absl::Status* const status_;
  std::vector<std::string> known_;
};

void Read(const Json& json, const std::string& where, absl::Status* status, ResultCell* cell) {
  if (json.is_null()) return;
  if (json.is_string()) {
    cell->text = json.get<std::string>();
  } else if (json.is_number()) {
    cell->value = json.get<double>();
  } else {
    double value = 0;
    double half_width = 0;
    ObjectReader reader(json, where, status);
    reader.Take("value", &value);
    reader.Take("half_width", &half_width);
    reader.Finish();
    *cell = ResultCell(value, half_width);
  }
}

void Read(const Json& json, const std::string& where, absl::Status* status, ResultColumn* column) {
  ObjectReader reader(json, where, status);
  reader.Take("name", &column->name);
  reader.Take("unit", &column->unit);
  reader.Take("decimals", &column->decimals);
  reader.Finish();
}

void Read(const Json& json, const std::string& where, absl::Status* status,
          std::vector<ResultCell>* row);
void Read(const Json& json, const std::string& where, absl::Status* status, ResultTable* table);
void Read(const Json& json, const std::string& where, absl::Status* status, ResultFigure* figure);
void Read(const Json& json, const std::string& where, absl::Status* status, ResultRun* run);

// Reads each of a list with the Read of its type.
struct ReadOne {
  template <typename T>
  void operator()(const Json& json, const std::string& where, absl::Status* status,
                  T* value) const {
    Read(json, where, status, value);
  }
};

void Read(const Json& json, const std::string& where, absl::Status* status,
          std::vector<ResultCell>* row) {
  if (!json.is_array()) {
    if (status->ok()) *status = Wrong(where, "must be a list");
    return;
  }
  row->resize(json.size());
  for (size_t i = 0; i < json.size(); ++i) {
    Read(json[i], absl::StrCat(where, "[", i, "]"), status, &(*row)[i]);
  }
}

void Read(const Json& json, const std::string& where, absl::Status* status, ResultTable* table) {
  ObjectReader reader(json, where, status);
  reader.Take("title", &table->title);
  reader.TakeEach("columns", &table->columns, ReadOne());
  reader.TakeEach("rows", &table->rows, ReadOne());
  reader.Take("note", &table->note);
  reader.Finish();
}

void ReadAxis(ObjectReader& parent, const std::string& key, ResultAxis* axis) {
  const Json* const found = parent.Find(key);
  if (found == nullptr) return;
  ObjectReader reader(*found, parent.Path(key), parent.status());
  reader.Take("label", &axis->label);
  reader.Take("unit", &axis->unit);
  reader.Take("logarithmic", &axis->logarithmic);
  reader.Finish();
}

struct ReadSeries {
  bool with_x;
  void operator()(const Json& json, const std::string& where, absl::Status* status,
                  ResultSeries* series) const {
    ObjectReader reader(json, where, status);
    reader.Take("name", &series->name);
    reader.Take("x", &series->x, /*optional=*/!with_x);
    reader.Take("y", &series->y);
    reader.Take("low", &series->low, /*optional=*/true);
    reader.Take("high", &series->high, /*optional=*/true);
    reader.Take("labels", &series->labels, /*optional=*/true);
    reader.Finish();
  }
};

void ReadNumbers(const Json& json, const std::string& where, absl::Status* status,
                 std::vector<double>* row) {
  const Json object = {{"row", json}};
  ObjectReader reader(object, where, status);
  reader.Take("row", row);
}

void Read(const Json& json, const std::string& where, absl::Status* status, ResultFigure* figure) {
  ObjectReader reader(json, where, status);
  std::string kind;
  reader.Take("kind", &kind);
  const auto* const known = std::find_if(kKinds.begin(), kKinds.end(),
                                         [&](const auto& one) { return one.second == kind; });
  if (known == kKinds.end()) {
    reader.Fail(reader.Path("kind"), "must be lines, bars, heat_map or scatter");
    return;
  }
  figure->kind = known->first;
  reader.Take("title", &figure->title);
  ReadAxis(reader, "x", &figure->x);
  ReadAxis(reader, "y", &figure->y);
  const bool heat_map = figure->kind == FigureKind::kHeatMap;
  if (heat_map || figure->kind == FigureKind::kBars) reader.Take("x_labels", &figure->x_labels);
  if (heat_map) {
    reader.Take("y_labels", &figure->y_labels);
    ReadAxis(reader, "value", &figure->value);
    reader.TakeEach("values", &figure->values, ReadNumbers);
    if (const Json* const mark = reader.Find("mark", /*optional=*/true)) {
      ObjectReader cell(*mark, reader.Path("mark"), status);
      figure->mark.emplace();
      cell.Take("row", &figure->mark->first);
      cell.Take("column", &figure->mark->second);
      cell.Finish();
    }
  } else {
    reader.TakeEach("series", &figure->series, ReadSeries{figure->kind != FigureKind::kBars});
  }
  reader.Take("note", &figure->note);
  reader.Finish();
}

void Read(const Json& json, const std::string& where, absl::Status* status, ResultRun* run) {
  ObjectReader reader(json, where, status);
  reader.Take("name", &run->name);
  reader.Take("run_id", &run->run_id);
  reader.Take("folder", &run->folder);
  reader.Take("teacher", &run->teacher);
  reader.Take("seed", &run->seed);
  reader.Take("weights_sha256", &run->weights_sha256);
  reader.Take("main", &run->main);
  if (const Json* const panels = reader.Find("panels", /*optional=*/true)) {
    if (!panels->is_object()) reader.Fail(reader.Path("panels"), "must be an object");
    run->panels = panels->dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  reader.Finish();
}

}  // namespace

absl::Status CheckResults(const Results& results) {
  DISTILLERY_RETURN_IF_ERROR(CheckFinite("wall_seconds", {results.wall_seconds}));
  for (size_t i = 0; i < results.tables.size(); ++i) {
    DISTILLERY_RETURN_IF_ERROR(CheckTable(absl::StrCat("tables[", i, "]"), results.tables[i]));
  }
  for (size_t i = 0; i < results.figures.size(); ++i) {
    DISTILLERY_RETURN_IF_ERROR(CheckFigure(absl::StrCat("figures[", i, "]"), results.figures[i]));
  }
  for (size_t i = 0; i < results.runs.size(); ++i) {
    const std::string& panels = results.runs[i].panels;
    if (!panels.empty() && !Json::parse(panels, nullptr, false).is_object()) {
      return Wrong(absl::StrCat("runs[", i, "].panels"), "must be an object");
    }
  }
  return absl::OkStatus();
}

std::string ResultsToJson(const Results& results) {
  Json json;
  json["format"] = kFormat;
  json["name"] = results.name;
  json["title"] = results.title;
  json["summary"] = results.summary;
  json["dataset"] = results.dataset;
  json["scale"] = results.scale;
  json["seeds"] = results.seeds;
  json["command"] = results.command;
  json["wall_seconds"] = results.wall_seconds;
  json["tables"] = Json::array();
  for (const ResultTable& table : results.tables) json["tables"].push_back(ToJson(table));
  json["figures"] = Json::array();
  for (const ResultFigure& figure : results.figures) json["figures"].push_back(ToJson(figure));
  json["runs"] = Json::array();
  for (const ResultRun& run : results.runs) json["runs"].push_back(ToJson(run));
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

absl::Status WriteResults(const Results& results, const std::string& path) {
  DISTILLERY_RETURN_IF_ERROR(CheckResults(results));
  return WriteFileDurably(path, ResultsToJson(results));
}

absl::StatusOr<Results> ParseResults(const std::string& text, const std::string& file_name) {
  const auto shallow = [](int depth, Json::parse_event_t, Json&) { return depth <= kDeepest; };
  const Json json = Json::parse(text, shallow, /*allow_exceptions=*/false);
  if (json.is_discarded()) {
    return absl::InvalidArgumentError(absl::StrCat(file_name, " is not JSON"));
  }
  Results results;
  absl::Status status;
  ObjectReader reader(json, "", &status);
  int64_t format = kFormat;
  reader.Take("format", &format);
  if (format != kFormat) {
    reader.Fail("format", absl::StrCat("must be ", kFormat, ", got ", format));
  }
  reader.Take("name", &results.name);
  reader.Take("title", &results.title);
  reader.Take("summary", &results.summary);
  reader.Take("dataset", &results.dataset);
  reader.Take("scale", &results.scale);
  reader.Take("seeds", &results.seeds);
  reader.Take("command", &results.command);
  reader.Take("wall_seconds", &results.wall_seconds);
  reader.TakeEach("tables", &results.tables, ReadOne());
  reader.TakeEach("figures", &results.figures, ReadOne());
  reader.TakeEach("runs", &results.runs, ReadOne());
  reader.Finish();
  if (status.ok()) status = CheckResults(results);
  if (!status.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(file_name, ": ", std::string(status.message())));
  }
  return results;
}

absl::StatusOr<Results> ReadResults(const std::string& path) {
  DISTILLERY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxResultsBytes));
  return ParseResults(text, path);
}

}  // namespace distillery
