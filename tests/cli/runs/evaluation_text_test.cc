#include "cli/runs/evaluation_text.h"

#include <gmock/gmock.h>

#include "cli/runs/run_text.h"
#include "cli/runs/sweep_table.h"
#include "common/rpc/proto_conversion.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

EvaluationMetrics OneClass() {
  EvaluationMetrics metrics;
  metrics.sample_count = 400;
  metrics.correct_count = 390;
  metrics.cross_entropy = 0.125;
  return metrics;
}

EvaluationMetrics Tokens() {
  EvaluationMetrics metrics = OneClass();
  metrics.correct_count = 4;
  metrics.position_count = 1000;
  metrics.correct_position_count = 750;
  return metrics;
}

EvaluationMetrics Labels() {
  EvaluationMetrics metrics = OneClass();
  metrics.label_count = 5;
  metrics.micro_f1 = 0.75;
  metrics.macro_f1 = 0.5;
  metrics.ranked_label_count = 5;
  metrics.mean_average_precision = 0.625;
  return metrics;
}

EvaluationMetrics Values() {
  EvaluationMetrics metrics;
  metrics.sample_count = 400;
  metrics.value_count = 2;
  metrics.mean_squared_error = 0.25;
  metrics.r2 = 0.9;
  metrics.cosine = 0.99;
  return metrics;
}

std::string Described(const EvaluationMetrics& metrics) {
  return DescribeEvaluation(ToProto(metrics));
}

TEST(EvaluationText, EachKindOfAnswerShowsItsFigures) {
  EXPECT_EQ(Described(OneClass()), "accuracy 97.50 % (10 errors of 400)");
  EXPECT_EQ(Described(Tokens()),
            "accuracy 75.00 %, errors 250, perplexity 1.1331, cross entropy 0.1250, whole samples "
            "right 1.00 %");
  EvaluationMetrics pixels = Tokens();
  pixels.iou_class_count = 3;
  pixels.mean_iou = 0.5;
  EXPECT_EQ(Described(pixels),
            "mean IoU 0.5000, accuracy 75.00 %, errors 250, cross entropy 0.1250, whole samples "
            "right 1.00 %");
  EXPECT_EQ(Described(Labels()),
            "mean average precision 0.6250, micro F1 0.7500, macro F1 0.5000, cross entropy "
            "0.1250, all labels right 97.50 %");
  EXPECT_EQ(Described(Values()), "mean squared error 0.25, R2 0.9000, cosine 0.9900");
  EXPECT_EQ(Described(EvaluationMetrics()), "not evaluated");
}

TEST(EvaluationText, OneFigureStandsForAll) {
  EXPECT_EQ(MainFigure(OneClass()), "97.50 %");
  EXPECT_EQ(MainFigure(Tokens()), "75.00 %");
  EXPECT_EQ(MainFigure(Labels()), "F1 0.7500");
  EXPECT_EQ(MainFigure(Values()), "MSE 0.25");
  EXPECT_EQ(MainFigure(EvaluationMetrics()), "-");
}

TEST(EvaluationText, ColumnsAreThoseOfTheFirstThatWasEvaluated) {
  EXPECT_THAT(FigureNames({}), ElementsAre("accuracy", "errors", "cross entropy"));
  const auto names = FigureNames({EvaluationMetrics(), Values(), OneClass()});
  EXPECT_THAT(names, ElementsAre("mean squared error", "R2", "cosine"));
  EXPECT_THAT(TextsUnder(names, OneClass()), ElementsAre("-", "-", "-"));
  EXPECT_THAT(TextsUnder(names, Values()), ElementsAre("0.25", "0.9000", "0.9900"));
}

v1::Run RunWith(const std::string& id, const EvaluationMetrics& metrics) {
  v1::Run run;
  run.set_run_id(id);
  *run.mutable_latest_evaluation() = ToProto(metrics);
  return run;
}

TEST(SweepTable, TheBestOfEachKindComesFirst) {
  EvaluationMetrics worse = Values();
  worse.mean_squared_error = 4;
  const std::string values =
      FormatSweep({RunWith("worse", worse), RunWith("better", Values()), v1::Run()});
  EXPECT_LT(values.find("better"), values.find("worse"));
  EXPECT_THAT(values, HasSubstr("mean squared error"));
  EXPECT_THAT(values, Not(HasSubstr("accuracy")));
  worse = Labels();
  worse.mean_average_precision = 0.5;
  const std::string labels = SweepToJson({RunWith("worse", worse), RunWith("better", Labels())});
  EXPECT_LT(labels.find("better"), labels.find("worse"));
  EXPECT_THAT(labels, HasSubstr("\"micro_f1\": 0.75"));
  const std::string classes = SweepToJson({RunWith("one", OneClass())});
  EXPECT_THAT(classes, HasSubstr("\"accuracy\": 0.975"));
  EXPECT_THAT(classes, Not(HasSubstr("position_count")));
}

}  // namespace
}  // namespace distillery
