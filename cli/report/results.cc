#include "cli/report/results.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/json_fields.h"
#include "common/base/status_macros.h"
#include "common/base/terminal.h"

namespace distillery {
namespace {

constexpr int64_t kFormat = 1;
constexpr int64_t kMostDecimals = 6;
constexpr int kDeepest = 32;
constexpr int64_t kMaxResultsBytes = int64_t{256} << 20;
const JsonNames<FigureKind>& Kinds() {
  static const auto* const kinds = new JsonNames<FigureKind>{{FigureKind::kLines, "lines"},
                                                             {FigureKind::kBars, "bars"},
                                                             {FigureKind::kHeatMap, "heat_map"},
                                                             {FigureKind::kScatter, "scatter"}};
  return *kinds;
}

std::string KindName(FigureKind kind) {
  for (const auto& [known, name] : Kinds()) {
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

}  // namespace

Json WriteJson(const ResultCell& cell) {
  if (!cell.value.has_value()) return cell.text.empty() ? Json() : Json(cell.text);
  if (!cell.half_width.has_value()) return *cell.value;
  return {{"value", *cell.value}, {"half_width", *cell.half_width}};
}

void ReadJson(const Json& json, const JsonPlace& place, ResultCell* cell) {
  if (json.is_null()) return;
  if (json.is_string()) {
    cell->text = json.get<std::string>();
  } else if (json.is_number()) {
    cell->value = json.get<double>();
  } else {
    JsonReader reader(json, place.where, place.status);
    reader("value", cell->value.emplace());
    reader("half_width", cell->half_width.emplace());
    reader.Finish();
  }
}

template <typename Fields>
void VisitFields(Fields& fields, ResultColumn& column) {
  fields("name", column.name);
  fields("unit", column.unit);
  fields("decimals", column.decimals);
}

template <typename Fields>
void VisitFields(Fields& fields, ResultTable& table) {
  fields("title", table.title);
  fields("columns", table.columns);
  fields("rows", table.rows);
  fields("note", table.note);
}

template <typename Fields>
void VisitFields(Fields& fields, ResultAxis& axis) {
  fields("label", axis.label);
  fields("unit", axis.unit);
  fields("logarithmic", axis.logarithmic);
}

template <typename Fields>
void VisitSeries(Fields& fields, FigureKind kind, ResultSeries& series) {
  fields("name", series.name);
  if (kind == FigureKind::kBars) {
    fields.Optional("x", series.x);
  } else {
    fields("x", series.x);
  }
  fields("y", series.y);
  fields.Optional("low", series.low);
  fields.Optional("high", series.high);
  fields.Optional("labels", series.labels);
}

// A cell of a heat map.
template <typename Fields>
void VisitFields(Fields& fields, std::pair<int64_t, int64_t>& mark) {
  fields("row", mark.first);
  fields("column", mark.second);
}

template <typename Fields>
void VisitFields(Fields& fields, ResultFigure& figure) {
  fields.OneOf("kind", figure.kind, Kinds());
  fields("title", figure.title);
  fields("x", figure.x);
  fields("y", figure.y);
  const bool heat_map = figure.kind == FigureKind::kHeatMap;
  if (heat_map || figure.kind == FigureKind::kBars) fields("x_labels", figure.x_labels);
  if (heat_map) {
    fields("y_labels", figure.y_labels);
    fields("value", figure.value);
    fields("values", figure.values);
    fields.Optional("mark", figure.mark);
  } else {
    fields.Each("series", figure.series, [&](auto& inner, ResultSeries& series) {
      VisitSeries(inner, figure.kind, series);
    });
  }
  fields("note", figure.note);
}

template <typename Fields>
void VisitFields(Fields& fields, ResultRun& run) {
  fields("name", run.name);
  fields("run_id", run.run_id);
  fields("folder", run.folder);
  fields("teacher", run.teacher);
  fields("seed", run.seed);
  fields("weights_sha256", run.weights_sha256);
  fields("main", run.main);
  fields.Raw("panels", run.panels);
}

template <typename Fields>
void VisitFields(Fields& fields, Results& results) {
  fields("name", results.name);
  fields("title", results.title);
  fields("summary", results.summary);
  fields("dataset", results.dataset);
  fields("scale", results.scale);
  fields("seeds", results.seeds);
  fields("command", results.command);
  fields("wall_seconds", results.wall_seconds);
  fields("tables", results.tables);
  fields("figures", results.figures);
  fields("runs", results.runs);
}

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
  Json json = {{"format", kFormat}};
  json.update(WriteJson(results));
  return JsonText(json, 1) + "\n";
}

absl::Status WriteResults(const Results& results, const std::string& path) {
  DISTILLERY_RETURN_IF_ERROR(CheckResults(results));
  return WriteFileDurably(path, ResultsToJson(results));
}

absl::StatusOr<Results> ParseResults(const std::string& text, const std::string& file_name) {
  const absl::StatusOr<Json> json = ParseJsonObject(text, kDeepest);
  if (!json.ok()) return Annotate(json.status(), file_name);
  Results results;
  absl::Status status;
  JsonReader reader(*json, "", &status);
  int64_t format = kFormat;
  reader("format", format);
  if (format != kFormat) {
    reader.Fail("format", absl::StrCat("must be ", kFormat, ", got ", format));
  }
  VisitFields(reader, results);
  reader.Finish();
  if (status.ok()) status = CheckResults(results);
  if (!status.ok()) return Annotate(status, file_name);
  return results;
}

absl::StatusOr<Results> ReadResults(const std::string& path) {
  DISTILLERY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxResultsBytes));
  return ParseResults(text, path);
}

}  // namespace distillery
