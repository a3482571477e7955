// What an experiment found: tables, figures, and the runs behind them. This is the content of
// results.json, which `distillery report` draws; deploy/results.schema.json describes the file.
//
//   Results results;
//   results.name = "small-data";
//   ...
//   DISTILLERY_RETURN_IF_ERROR(WriteResults(results, folder + "/results.json"));
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace distillery {

// A number, a number with the half width of its interval, text, or (by default) nothing.
struct ResultCell {
  ResultCell() = default;
  ResultCell(double number) : value(number) {}               // NOLINT: cells of a row
  ResultCell(std::string words) : text(std::move(words)) {}  // NOLINT
  ResultCell(const char* words) : text(words) {}             // NOLINT
  ResultCell(double number, double half) : value(number), half_width(half) {}

  std::optional<double> value;
  // Half the width of the 95 % interval; empty: not known (one seed).
  std::optional<double> half_width;
  // Without a value alone.
  std::string text;
};

struct ResultColumn {
  std::string name;
  // "%", "s", "KB"; "" for none. Share columns hold per cent, 97.2 for 97.2 %.
  std::string unit;
  // Digits shown behind the point, 0 to 6.
  int64_t decimals = 0;
};

struct ResultTable {
  std::string title;
  std::vector<ResultColumn> columns;
  // Each as long as `columns`.
  std::vector<std::vector<ResultCell>> rows;
  // Sentences on what is in it, how it was measured, what is missing; "" for none.
  std::string note;
};

enum class FigureKind { kLines, kBars, kHeatMap, kScatter };

struct ResultAxis {
  // "errors on the test split".
  std::string label;
  // "%", "s", "nats"; "" for a plain number.
  std::string unit;
  // With positions > 0 alone.
  bool logarithmic = false;
};

struct ResultSeries {
  std::string name;
  // Positions. Lines: ascending. Bars: empty, y[i] belongs to x_labels[i].
  std::vector<double> x;
  std::vector<double> y;
  // The interval of each y, such as mean and 95 %; both empty if there is none.
  std::vector<double> low;
  std::vector<double> high;
  // Scatter: what stands beside each point; empty, or as long as y.
  std::vector<std::string> labels;
};

struct ResultFigure {
  FigureKind kind = FigureKind::kLines;
  std::string title;
  ResultAxis x;
  ResultAxis y;
  // Lines, bars, scatter.
  std::vector<ResultSeries> series;
  // Bars: the groups. Heat map: the columns. Else empty.
  std::vector<std::string> x_labels;
  // Heat map: the rows, top first, what the colour stands for, and its values [y_labels][x_labels].
  std::vector<std::string> y_labels;
  ResultAxis value;
  std::vector<std::vector<double>> values;
  // Heat map: the cell (row, column) that is recommended.
  std::optional<std::pair<int64_t, int64_t>> mark;
  std::string note;
};

struct ResultRun {
  // RunSpec.name.
  std::string name;
  // Given by the coordinator.
  std::string run_id;
  // Folder of the run (student.pt, metrics.json ...), relative to that of results.json; "": not
  // kept.
  std::string folder;
  // The teacher's TorchScript file, relative likewise; "": none, or not kept.
  std::string teacher;
  int64_t seed = 0;
  // SHA-256 (hex) of the final weights.
  std::string weights_sha256;
  // The report draws this run's own panels as well.
  bool main = false;
  // A JSON object: what those panels hold; "": not gathered yet (`distillery report` adds it).
  std::string panels;
};

struct Results {
  // "small-data": of the experiment; of one run's report "run".
  std::string name;
  std::string title;
  // One or a few sentences: what it shows.
  std::string summary;
  std::string dataset;
  // "quick", "paper"; "" where there is none.
  std::string scale;
  std::vector<int64_t> seeds;
  // The command line that made this.
  std::string command;
  // The only figure here, besides those of panels and of tables of times, that a clock decides.
  double wall_seconds = 0;
  std::vector<ResultTable> tables;
  std::vector<ResultFigure> figures;
  std::vector<ResultRun> runs;
};

// INVALID_ARGUMENT naming what does not fit: a row of the wrong length, series whose x and y differ
// in length, a number that is not finite, a logarithmic axis with a position of 0.
absl::Status CheckResults(const Results& results);

// Readable JSON. REQUIRES: CheckResults is OK.
std::string ResultsToJson(const Results& results);
// Checks, and replaces the file in one step.
absl::Status WriteResults(const Results& results, const std::string& path);

// Strict: INVALID_ARGUMENT "FILE: figures[2].series[0].y must ..." names what is missing, unknown
// or wrong. `file_name` is used in messages alone.
absl::StatusOr<Results> ParseResults(const std::string& json, const std::string& file_name);
absl::StatusOr<Results> ReadResults(const std::string& path);

}  // namespace distillery
