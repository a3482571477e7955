// Classes that the student never sees: it learns of them from what the teacher says of other
// images, and recognises them once their bias is corrected (Hinton, Vinyals, Dean 2015, section 3).
//
// The paper sets the bias by the test set. Here it is fitted without it, and without a label:
// students of the same kind are trained on the training data without its validation part ("fit"),
// and the bias is the one with which these agree most often with the teacher on the validation
// images, which they have not seen, of any class. The students trained on all of the transfer set
// take that bias over. Fitting it on the latter's own transfer images would set it too high: they
// hardly err on those.
#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/experiment/class_bias.h"
#include "cli/experiment/experiment.h"
#include "cli/experiment/mean.h"
#include "cli/experiment/unseen_classes.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

class ZeroShotExperiment : public Experiment {
 public:
  using Experiment::Experiment;

  std::vector<RunSpec> Plan() const override {
    std::vector<RunSpec> plan;
    for (const Omission& omission : Omissions()) {
      const StudentPair pair = OmittingPair(omission);
      const std::vector<RunSpec> grid = RateGrid(recipe_.rates, pair);
      plan.insert(plan.end(), grid.begin(), grid.end());
      const std::vector<RunSpec> students = OverSeeds(StudentSpecs(pair), settings_.seeds);
      plan.insert(plan.end(), students.begin(), students.end());
    }
    return plan;
  }

  absl::Status Run(Laboratory* lab, Results* results) override {
    DISTILLERY_RETURN_IF_ERROR(CheckClasses());
    results->title = "Classes never shown, on " + recipe_.dataset;
    results->summary =
        "The student's transfer set leaves classes out. On hard labels it cannot know them; from "
        "the "
        "teacher's soft targets on other images it learns what they look like, and needs but to be "
        "told, by one number, that they exist.";
    ResultFigure recall;
    recall.kind = FigureKind::kBars;
    recall.title = "Recall of the unseen classes";
    recall.x = {"student", "", false};
    recall.y = {"recall on the test split", "%", false};
    recall.x_labels = {"hard labels", "soft targets", "soft targets, bias fitted"};
    std::vector<ResultFigure> scans;
    for (const Omission& omission : Omissions()) {
      StudentPair pair = OmittingPair(omission);
      DISTILLERY_RETURN_IF_ERROR(lab->ChooseRates(&pair));
      DISTILLERY_ASSIGN_OR_RETURN(
          const auto groups,
          lab->DoOverSeeds(absl::StrCat("students ", omission.name), StudentSpecs(pair)));
      DISTILLERY_ASSIGN_OR_RETURN(const BiasedStudent hard,
                                  Ask(lab, groups[0], groups[1], omission));
      DISTILLERY_ASSIGN_OR_RETURN(const BiasedStudent soft,
                                  Ask(lab, groups[2], groups[3], omission));
      DISTILLERY_ASSIGN_OR_RETURN(const SplitLogits teacher, lab->TeacherLogits("test"));
      results->tables.push_back(Table(omission, teacher, hard, soft));
      scans.push_back(Scan(omission, hard, soft));
      ResultSeries series;
      series.name = omission.name;
      AppendMean(hard.At({}, omission).recall, &series);
      AppendMean(soft.At({}, omission).recall, &series);
      AppendMean(soft.At(soft.fitted, omission).recall, &series);
      recall.series.push_back(std::move(series));
      DISTILLERY_RETURN_IF_ERROR(lab->Keep(groups[0].front(), /*main=*/true, results));
      DISTILLERY_RETURN_IF_ERROR(lab->Keep(groups[2].front(), /*main=*/true, results));
    }
    recall.note = "Recall: the part of the test images of classes never shown that is recognised.";
    results->figures = {std::move(recall)};
    results->figures.insert(results->figures.end(), scans.begin(), scans.end());
    results->tables.push_back(lab->grid_table());
    return absl::OkStatus();
  }

 private:
  int64_t OmittedClass() const {
    constexpr int64_t kPaper = 3;
    return settings_.omitted_class.value_or(std::min(kPaper, recipe_.class_count() - 1));
  }

  absl::Status CheckClasses() const {
    constexpr int64_t kFewest = 4;
    if (recipe_.class_count() < kFewest) {
      return absl::InvalidArgumentError(absl::StrCat("zero-shot needs a data set of ", kFewest,
                                                     " classes or more, ", recipe_.dataset, " has ",
                                                     recipe_.class_count()));
    }
    return absl::OkStatus();
  }

  std::vector<Omission> Omissions() const {
    const int64_t classes = recipe_.class_count();
    const int64_t omitted = OmittedClass();
    Omission one{{omitted},
                 {omitted},
                 absl::StrCat("without class ", recipe_.class_names[omitted]),
                 absl::StrCat("-without-", omitted)};
    // The paper keeps 7 and 8 of ten classes.
    constexpr int64_t kTen = 10;
    const int64_t first = classes == kTen ? 7 : std::max<int64_t>(0, classes - 2);
    Omission many;
    many.biased = {first, first + 1};
    for (int64_t c = 0; c < classes; ++c) {
      if (c != first && c != first + 1) many.unseen.push_back(c);
    }
    many.name = absl::StrCat("only classes ", recipe_.class_names[first], " and ",
                             recipe_.class_names[first + 1]);
    many.suffix = absl::StrCat("-only-", first, "-", first + 1);
    return {one, many};
  }

  StudentPair OmittingPair(const Omission& omission) const {
    StudentPair pair = MakePair(omission.suffix);
    pair.hard.dataset.exclude_classes = omission.unseen;
    pair.distilled.dataset.exclude_classes = omission.unseen;
    // Hard labels would teach that there are no other classes.
    pair.distilled.loss.alpha = 1;
    pair.distilled.loss.temperature = recipe_.zero_shot_temperature;
    return pair;
  }

  // Hard and soft, each on all of the transfer set and on its part "fit".
  static std::vector<RunSpec> StudentSpecs(const StudentPair& pair) {
    std::vector<RunSpec> specs;
    for (const RunSpec* const student : {&pair.hard, &pair.distilled}) {
      specs.push_back(*student);
      RunSpec fit = *student;
      fit.name += "-fit";
      fit.dataset.train_split = "fit";
      fit.dataset.evaluation_split = "validation";
      fit.evaluation.every_rounds = 0;
      specs.push_back(std::move(fit));
    }
    return specs;
  }

  static absl::StatusOr<BiasedStudent> Ask(Laboratory* lab, const std::vector<FinishedRun>& trained,
                                           const std::vector<FinishedRun>& fit,
                                           const Omission& omission) {
    DISTILLERY_ASSIGN_OR_RETURN(const SplitLogits teacher, lab->TeacherLogits("validation"));
    const std::vector<int32_t> wanted = Choices(teacher);
    BiasedStudent student;
    for (size_t seed = 0; seed < trained.size(); ++seed) {
      DISTILLERY_ASSIGN_OR_RETURN(const SplitLogits validation,
                                  lab->StudentLogits(fit[seed], "validation"));
      student.fitted.push_back(FitBias(validation, omission.biased, wanted));
      DISTILLERY_ASSIGN_OR_RETURN(student.test.emplace_back(),
                                  lab->StudentLogits(trained[seed], "test"));
      student.best.push_back(
          FitBias(student.test.back(), omission.biased, student.test.back().labels));
    }
    return student;
  }

  ResultTable Table(const Omission& omission, const SplitLogits& teacher, const BiasedStudent& hard,
                    const BiasedStudent& soft) const {
    ResultTable table;
    table.title = absl::StrCat("Transfer set ", omission.name);
    table.columns = {{"model", "", 0},
                     {"bias", "", 2},
                     {"errors", "", 1},
                     {"error rate", "%", 2},
                     {"errors on unseen", "", 1},
                     {"recall of unseen", "%", 2}};
    const auto add = [&table](const std::string& name, const ResultCell& bias,
                              const UnseenErrors& errors) {
      table.rows.push_back({name, bias, MeanCell(errors.all), MeanCell(errors.all_rate),
                            MeanCell(errors.unseen), MeanCell(errors.recall)});
    };
    UnseenErrors of_teacher;
    of_teacher.Add(Choices(teacher), teacher, omission.unseen);
    add("teacher, which saw all", {}, of_teacher);
    add("hard labels", {}, hard.At({}, omission));
    add("hard labels, bias fitted", MeanCell(hard.fitted), hard.At(hard.fitted, omission));
    add("soft targets", {}, soft.At({}, omission));
    add("soft targets, bias fitted", MeanCell(soft.fitted), soft.At(soft.fitted, omission));
    add("soft targets, best bias for the test split", MeanCell(soft.best),
        soft.At(soft.best, omission));
    std::vector<std::string> biased;
    for (const int64_t c : omission.biased) biased.push_back(recipe_.class_names[c]);
    table.note =
        absl::StrCat(MeansOf(settings_.seeds), " on ", teacher.size(),
                     " test images. Bias: added to the logit of ", absl::StrJoin(biased, " and "),
                     ". Fitted: the most agreement with the teacher on the validation images, by "
                     "students of the "
                     "same kind that were not trained on them; no test image and no label goes "
                     "into it. The last "
                     "line, chosen by the test split, is what the paper reports and a bound. Soft: "
                     "alpha 1, T = ",
                     recipe_.zero_shot_temperature, ".");
    if (recipe_.paper()) {
      absl::StrAppend(&table.note,
                      omission.unseen.size() == 1
                          ? " Hinton et al. 2015, without 3: 206 errors, 133 of them on "
                            "3; with the bias raised by 3.5, 109 and 14."
                          : " Hinton et al. 2015, only 7 and 8: error rate 47.3 %; with "
                            "both biases lowered by 7.6, 13.2 %.");
    }
    return table;
  }

  // Errors over the bias.
  static ResultFigure Scan(const Omission& omission, const BiasedStudent& hard,
                           const BiasedStudent& soft) {
    constexpr int kSteps = 40;
    constexpr double kLeast = 2;
    double reach = 0;
    for (const double bias : soft.fitted) reach += bias / static_cast<double>(soft.fitted.size());
    const bool raised = omission.unseen == omission.biased;
    const double size = 2 * std::max(kLeast, std::abs(reach));
    ResultFigure figure;
    figure.title = absl::StrCat("Errors over the bias, ", omission.name);
    figure.x = {"bias", "", false};
    figure.y = {"error rate on the test split", "%", false};
    figure.series.resize(3);
    figure.series[0].name = "soft targets, all test images";
    figure.series[1].name = "soft targets, unseen classes";
    figure.series[2].name = "hard labels, all test images";
    for (int step = 0; step <= kSteps; ++step) {
      const double at = size * step / kSteps;
      const double bias = raised ? at : at - size;
      for (ResultSeries& series : figure.series) series.x.push_back(bias);
      const UnseenErrors errors = soft.At(std::vector<double>(soft.test.size(), bias), omission);
      AppendMean(errors.all_rate, &figure.series[0]);
      AppendMean(errors.unseen_rate, &figure.series[1]);
      AppendMean(hard.At(std::vector<double>(hard.test.size(), bias), omission).all_rate,
                 &figure.series[2]);
    }
    figure.note = absl::StrCat("The bias fitted without the test split is ", absl::SixDigits(reach),
                               " in the mean.");
    return figure;
  }
};

}  // namespace

std::unique_ptr<Experiment> MakeZeroShotExperiment(ExperimentRecipe recipe,
                                                   ExperimentSettings settings) {
  return std::make_unique<ZeroShotExperiment>(std::move(recipe), settings);
}

}  // namespace distillery
