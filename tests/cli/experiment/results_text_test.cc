#include "cli/experiment/results_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/experiment/mean.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

TEST(ResultsTextTest, CellsHaveTheirDecimalsUnitsAndIntervals) {
  Results results;
  results.title = "Errors";
  ResultTable table;
  table.title = "Students";
  table.columns = {{"student", "", 0}, {"errors", "", 1}, {"accuracy", "%", 2}};
  // Mean 11, deviation sqrt(2); t(0.975, 1) = 12.706: 12.706 * sqrt(2) / sqrt(2).
  table.rows = {{"hard", MeanCell({10, 12}), MeanCell({97.5})}, {"soft", {}, 98.0}};
  table.note = "Of 397.";
  results.tables = {table};
  const std::string text = FormatResults(results);
  EXPECT_THAT(text, HasSubstr("hard     11.0 +- 12.7   97.50 %\n"));
  EXPECT_THAT(text, HasSubstr("soft                -   98.00 %\n"));
  EXPECT_THAT(text, HasSubstr("Of 397.\n"));
}

TEST(ResultsTextTest, AHeatMapIsATableWithAStar) {
  Results results;
  ResultFigure map;
  map.kind = FigureKind::kHeatMap;
  map.x.label = "temperature";
  map.y.label = "alpha";
  map.x_labels = {"1", "4"};
  map.y_labels = {"0.5", "0.9"};
  map.values = {{12, 11}, {10, 9}};
  map.mark = {1, 0};
  results.figures = {map};
  EXPECT_THAT(FormatResults(results), HasSubstr("alpha \\ temperature      1     4\n"
                                                "0.5                   12.0  11.0\n"
                                                "0.9                  *10.0   9.0\n"));
}

TEST(MeanTest, ASeriesOfOneSeedHasNoInterval) {
  ResultSeries one;
  AppendMean({3}, &one);
  EXPECT_EQ(one.y, std::vector<double>{3});
  EXPECT_TRUE(one.low.empty());
  ResultSeries two;
  AppendMean({10, 12}, &two);
  EXPECT_EQ(two.y, std::vector<double>{11});
  // Student's t at 0.975 with one degree of freedom is tan(0.475 pi).
  EXPECT_NEAR(two.high[0] - two.low[0], 2 * 12.7062047364, 1e-9);
}

}  // namespace
}  // namespace distillery
