#include "cli/report/results.h"

#include <gmock/gmock.h>

#include <functional>
#include <limits>

#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

// One of everything.
Results Full() {
  Results results;
  results.name = "small-data";
  results.title = "3 % of the data";
  results.summary = "\"Soft\" targets </script> teach more.";
  results.dataset = "digits";
  results.scale = "quick";
  results.seeds = {1, 2, 3};
  results.command = "distillery experiment small-data";
  results.wall_seconds = 81.25;
  ResultTable table;
  table.title = "Errors";
  table.columns = {{"student", "", 0}, {"errors", "%", 2}};
  table.rows = {{"hard", {12.5, 1.0 / 3}}, {"soft", 9.25}, {"none", {}}};
  table.note = "of 397";
  results.tables = {table};
  ResultFigure lines;
  lines.title = "Accuracy";
  lines.x = {"data used", "%", true};
  lines.y = {"accuracy", "%", false};
  lines.series = {{"hard", {1, 3, 10}, {50, 60, 70}, {49, 59, 69}, {51, 61, 71}, {}}};
  ResultFigure bars;
  bars.kind = FigureKind::kBars;
  bars.x_labels = {"3", "7"};
  bars.series = {{"recall", {}, {0.1, 0.9}, {}, {}, {}}};
  ResultFigure map;
  map.kind = FigureKind::kHeatMap;
  map.x_labels = {"1", "4"};
  map.y_labels = {"0.5", "0.9"};
  map.value = {"errors", "", false};
  map.values = {{12, 11}, {10, 9}};
  map.mark = {1, 1};
  ResultFigure scatter;
  scatter.kind = FigureKind::kScatter;
  scatter.series = {{"float", {2, 1}, {97, 96}, {}, {}, {"mlp:64-8-10", "int8"}}};
  results.figures = {lines, bars, map, scatter};
  ResultRun run;
  run.name = "hard";
  run.run_id = "hard-1a2b3c";
  run.folder = "runs/hard";
  run.seed = 1;
  run.weights_sha256 = std::string(64, 'a');
  run.main = true;
  run.panels = R"({"loss":[0.5,1]})";
  results.runs = {run};
  return results;
}

TEST(Results, ComeBackAsTheyWereWritten) {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/results.json";
  ASSERT_THAT(WriteResults(Full(), path), IsOk());
  const auto read = ReadResults(path);
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(ResultsToJson(*read), ResultsToJson(Full()));
  EXPECT_EQ(read->tables[0].rows[0][1].half_width, 1.0 / 3);
  EXPECT_FALSE(read->tables[0].rows[2][1].value.has_value());
  EXPECT_EQ(read->figures[3].series[0].labels[1], "int8");
  EXPECT_EQ(read->runs[0].panels, Full().runs[0].panels);
}

// Each takes one thing from a valid file and puts another in its place.
TEST(Results, ReaderNamesWhatIsWrong) {
  struct Case {
    std::string from;
    std::string to;
    std::string message;
  };
  const std::vector<Case> cases = {
      {"\"format\": 1", "\"format\": 2", "format must be 1, got 2"},
      {"\"scale\": \"quick\",", "", "scale is missing"},
      {"\"scale\": \"quick\"", "\"size\": 1, \"scale\": \"quick\"", "size is no key here"},
      {"\"wall_seconds\": 81.25", "\"wall_seconds\": \"long\"", "wall_seconds must be a number"},
      {"\"kind\": \"lines\"", "\"kind\": \"pie\"", "figures[0].kind must be lines"},
      {"\"logarithmic\": true", "\"logarithmic\": 1", "figures[0].x.logarithmic must be true or"},
      {"\"main\": true", "\"main\": true, \"more\": 1", "runs[0].more is no key here"},
      {"\"decimals\": 2", "\"decimals\": 7", "tables[0].columns[1].decimals must be 0 to 6, got 7"},
      {"\"row\": 1", "\"row\": 2", "figures[2].mark must be a cell"},
  };
  const std::string good = ResultsToJson(Full());
  ASSERT_THAT(ParseResults(good, "r.json"), IsOk());
  for (const Case& one : cases) {
    std::string bad = good;
    const size_t at = bad.find(one.from);
    ASSERT_NE(at, std::string::npos) << one.from;
    bad.replace(at, one.from.size(), one.to);
    const auto status = ParseResults(bad, "r.json").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("r.json: " + one.message));
  }
  for (const std::string& text :
       {std::string(), std::string("[]"), good.substr(0, 400), std::string(100'000, '[')}) {
    EXPECT_EQ(ParseResults(text, "r.json").status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(Results, WriterRefusesWhatCannotBeDrawn) {
  const auto refused = [](const std::function<void(Results*)>& spoil) {
    Results results = Full();
    spoil(&results);
    return std::string(CheckResults(results).message());
  };
  EXPECT_EQ(refused([](Results*) {}), "");
  EXPECT_THAT(refused([](Results* r) { r->tables[0].rows[1].pop_back(); }),
              HasSubstr("tables[0].rows[1] must be as long as columns, 2, got 1"));
  EXPECT_THAT(refused([](Results* r) { r->figures[0].series[0].y.pop_back(); }),
              HasSubstr("figures[0].series[0].x must be as long as y"));
  EXPECT_THAT(refused([](Results* r) { r->figures[0].series[0].low.clear(); }),
              HasSubstr("high must be as long as low"));
  EXPECT_THAT(refused([](Results* r) { r->figures[0].series[0].x[2] = 2; }), HasSubstr("ascend"));
  EXPECT_THAT(refused([](Results* r) { r->figures[0].series[0].x[0] = 0; }),
              HasSubstr("must be > 0 on a logarithmic axis"));
  EXPECT_THAT(refused([](Results* r) { r->figures[1].x_labels.pop_back(); }),
              HasSubstr("as long as x_labels"));
  EXPECT_THAT(refused([](Results* r) { r->figures[2].values[0].pop_back(); }),
              HasSubstr("figures[2].values[0]"));
  EXPECT_THAT(refused([](Results* r) {
                r->figures[2].values[0][0] = std::numeric_limits<double>::quiet_NaN();
              }),
              HasSubstr("finite"));
  EXPECT_THAT(refused([](Results* r) { r->figures[3].series[0].labels.pop_back(); }),
              HasSubstr("labels"));
  EXPECT_THAT(refused([](Results* r) { r->runs[0].panels = "[1"; }), HasSubstr("panels"));
}

}  // namespace
}  // namespace distillery
