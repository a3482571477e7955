#include "common/run/answer_check.h"

#include <functional>

#include "common/run/loss_names.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

TEST(LossNames, ALossThatDoesNotFitNamesThoseThatDo) {
  EXPECT_THAT(CheckLossFits(SoftLoss::kKd, AnswerKind::kValues),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "loss.name kd needs classes or multilabel; this data set's answers are "
                       "values: use mse, smooth_l1 or cosine"));
  EXPECT_THAT(CheckLossFits(SoftLoss::kCosine, AnswerKind::kClasses),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "loss.name cosine needs values; this data set's answers are classes: use "
                       "kd, dkd, logit_standardized, mse, reverse_kl or jsd"));
  EXPECT_THAT(CheckLossFits(SoftLoss::kDkd, AnswerKind::kMultilabel),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "loss.name dkd needs classes; this data set's answers are multilabel: use "
                       "kd, mse, reverse_kl or jsd"));
}

TEST(LossNames, EachKindOfAnswerHasALoss) {
  for (const AnswerKindSpec& kind : kAnswerKinds) {
    int fitting = 0;
    for (const LossSpec& loss : kSoftLosses) {
      EXPECT_EQ(CheckLossFits(loss.loss, kind.kind).ok(), Fits(loss.loss, kind.kind));
      fitting += Fits(loss.loss, kind.kind) ? 1 : 0;
    }
    EXPECT_GE(fitting, 3) << kind.name;
  }
}

TEST(CheckFitsAnswers, TheDefaultsFitDistributionsAtAnyPosition) {
  for (const std::vector<int64_t>& positions : {std::vector<int64_t>{}, {8}, {4, 4}}) {
    EXPECT_THAT(CheckFitsAnswers(RunSpec(), {AnswerKind::kClasses, positions}), IsOk());
    EXPECT_THAT(CheckFitsAnswers(RunSpec(), {AnswerKind::kMultilabel, positions}), IsOk());
  }
  EXPECT_THAT(CheckFitsAnswers(RunSpec(), {AnswerKind::kValues, {}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("loss.name kd")));
}

TEST(CheckFitsAnswers, WhatAnswersDoNotHaveIsRefusedByItsKey) {
  // What a RunSpec asks for, and which answers have it.
  struct Case {
    const char* key;
    std::function<void(RunSpec&)> change;
    std::vector<AnswerSpec> fit;
    std::vector<AnswerSpec> refused;
  };
  const AnswerSpec one_class;
  const AnswerSpec tokens{AnswerKind::kClasses, {8}};
  const AnswerSpec labels{AnswerKind::kMultilabel, {}};
  const AnswerSpec values{AnswerKind::kValues, {}};
  const std::vector<Case> cases = {
      {"loss.label_smoothing",
       [](RunSpec& s) { s.loss.label_smoothing = 0.1; },
       {one_class, tokens, labels},
       {values}},
      {"soft_targets.encoding top_k",
       [](RunSpec& s) {
         s.soft_targets = {"top_k", 2};
       },
       {one_class, tokens},
       {labels, values}},
      {"guard.metric must be mean_squared_error",
       [](RunSpec& s) { s.guard.metric = "accuracy"; },
       {one_class, tokens, labels},
       {values}},
      {"guard.metric mean_squared_error",
       [](RunSpec& s) { s.guard.metric = "mean_squared_error"; },
       {values},
       {one_class, tokens, labels}},
      {"dataset.exclude_classes",
       [](RunSpec& s) { s.dataset.exclude_classes = {1}; },
       {one_class},
       {tokens, labels, values}},
      {"dataset.label_noise",
       [](RunSpec& s) { s.dataset.label_noise = 0.1; },
       {one_class},
       {tokens, labels, values}},
  };
  for (const Case& one : cases) {
    RunSpec spec;
    spec.loss.name = "mse";
    one.change(spec);
    for (const AnswerSpec& answers : one.fit) {
      EXPECT_THAT(CheckFitsAnswers(spec, answers), IsOk()) << one.key;
    }
    for (const AnswerSpec& answers : one.refused) {
      EXPECT_THAT(CheckFitsAnswers(spec, answers),
                  StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(one.key)));
    }
  }
}

}  // namespace
}  // namespace distillery
