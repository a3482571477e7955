// Hinton, Vinyals, Dean 2015, section 3: what soft targets teach a student, and at which
// temperature it learns most from them.
#include <cmath>

#include "absl/strings/str_cat.h"
#include "cli/experiment/experiment.h"
#include "cli/experiment/mean.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

class HintonExperiment : public Experiment {
 public:
  using Experiment::Experiment;

  std::vector<RunSpec> Plan() const override {
    std::vector<RunSpec> plan = PlanPair(MakePair());
    const std::vector<RunSpec> study = OverSeeds(StudySpecs(recipe_.student), settings_.seeds);
    plan.insert(plan.end(), study.begin(), study.end());
    if (recipe_.augmentation.empty()) return plan;
    const StudentPair views = ViewPair(MakePair());
    const std::vector<RunSpec> further = OverSeeds({views.hard, views.distilled}, settings_.seeds);
    plan.insert(plan.end(), further.begin(), further.end());
    return plan;
  }

  absl::Status Run(Laboratory* lab, Results* results) override {
    results->title = "Soft targets on " + recipe_.dataset;
    results->summary =
        "A student that learns from a teacher's soft targets against the same student on hard "
        "labels alone, and how the temperature that teaches best depends on the student's width.";
    StudentPair pair = MakePair();
    DISTILLERY_RETURN_IF_ERROR(lab->ChooseRates(&pair));
    std::vector<RunSpec> specs = {pair.hard, pair.distilled};
    if (!recipe_.augmentation.empty()) {
      const StudentPair views = ViewPair(pair);
      specs.insert(specs.end(), {views.hard, views.distilled});
    }
    DISTILLERY_ASSIGN_OR_RETURN(const auto students, lab->DoOverSeeds("students", specs));
    results->tables.push_back(StudentTable(*lab, students));
    DISTILLERY_RETURN_IF_ERROR(Study(lab, pair, results));
    results->tables.push_back(lab->grid_table());
    for (const auto& group : students) {
      const bool main = &group == &students[0] || &group == &students[1];
      DISTILLERY_RETURN_IF_ERROR(lab->Keep(group.front(), main, results));
    }
    return absl::OkStatus();
  }

 private:
  // The same students, which see each image through as many views; the teacher answers for the very
  // view that the student sees.
  StudentPair ViewPair(const StudentPair& pair) const {
    StudentPair views = pair;
    for (RunSpec* const spec : {&views.hard, &views.distilled}) {
      absl::StrAppend(&spec->name, "-views");
      spec->dataset.augmentation = recipe_.augmentation;
      spec->dataset.views = recipe_.views;
    }
    return views;
  }

  ResultTable StudentTable(const Laboratory& lab,
                           const std::vector<std::vector<FinishedRun>>& students) const {
    ResultTable table;
    table.title = "Errors on the test split";
    table.columns = {
        {"model", "", 0}, {"architecture", "", 0}, {"errors", "", 1}, {"accuracy", "%", 2}};
    const EvaluationMetrics& teacher = lab.teacher().metrics;
    table.rows.push_back({"teacher", lab.teacher().architecture,
                          static_cast<double>(teacher.sample_count - teacher.correct_count),
                          100 * teacher.accuracy()});
    const std::vector<std::string> names = {
        "student, hard labels", "student, soft targets",
        absl::StrCat("student, hard labels, ", recipe_.augmentation),
        absl::StrCat("student, soft targets, ", recipe_.augmentation)};
    for (size_t i = 0; i < students.size(); ++i) {
      table.rows.push_back({names[i], recipe_.student.student.architecture,
                            MeanCell(ErrorCounts(students[i])), MeanCell(Accuracies(students[i]))});
    }
    table.rows.push_back({"hard minus soft, paired by seed",
                          "",
                          MeanCell(Differences(ErrorCounts(students[0]), ErrorCounts(students[1]))),
                          {}});
    table.note =
        absl::StrCat("Of ", teacher.sample_count, " test images. ", MeansOf(settings_.seeds),
                     " for the students. Soft targets at T = ", recipe_.student.loss.temperature,
                     ", alpha ", recipe_.student.loss.alpha, ".");
    if (recipe_.paper()) {
      absl::StrAppend(&table.note, " Hinton et al. 2015: teacher 67, hard 146, soft 74 errors.");
    }
    return table;
  }

  std::vector<RunSpec> StudySpecs(const RunSpec& student) const {
    std::vector<RunSpec> specs;
    for (const int64_t width : recipe_.study_widths) {
      for (const double temperature : recipe_.study_temperatures) {
        RunSpec spec = student;
        spec.name = absl::StrCat("width-", width, "-T-", temperature);
        spec.student.architecture = recipe_.Architecture(width);
        spec.loss.temperature = temperature;
        // Hard labels would blur what the temperature does.
        spec.loss.alpha = 1;
        spec.evaluation.every_rounds = 0;
        SetEpochs(recipe_.study_epochs, &spec);
        specs.push_back(std::move(spec));
      }
    }
    return specs;
  }

  absl::Status Study(Laboratory* lab, const StudentPair& pair, Results* results) const {
    DISTILLERY_ASSIGN_OR_RETURN(
        const auto groups, lab->DoOverSeeds("temperature by width", StudySpecs(pair.distilled)));
    ResultFigure figure;
    figure.title = "Temperature by width";
    figure.x = {"temperature", "", true};
    figure.y = {"errors on the test split", "", false};
    ResultTable table;
    table.title = figure.title;
    table.columns = {{"hidden units", "", 0}};
    for (const double temperature : recipe_.study_temperatures) {
      table.columns.push_back({absl::StrCat("T = ", temperature), "", 1});
    }
    table.note = figure.note = absl::StrCat(
        "Test errors of students of ", recipe_.hidden_layers, " hidden layer",
        recipe_.hidden_layers == 1 ? "" : "s", " on soft targets alone (alpha 1), after ",
        recipe_.study_epochs,
        " epochs, all at the learning rate chosen for the soft student. "
        "Hinton et al. 2015: with 300 units or more all temperatures above 8 do alike, with 30 "
        "those of 2.5 to 4 do best.");
    size_t next = 0;
    for (const int64_t width : recipe_.study_widths) {
      ResultSeries series;
      series.name = absl::StrCat(width, " units");
      std::vector<ResultCell> row = {absl::StrCat(width)};
      for (const double temperature : recipe_.study_temperatures) {
        const std::vector<double> errors = ErrorCounts(groups[next++]);
        series.x.push_back(temperature);
        AppendMean(errors, &series);
        row.push_back(MeanCell(errors));
      }
      figure.series.push_back(std::move(series));
      table.rows.push_back(std::move(row));
    }
    results->tables.push_back(std::move(table));
    results->figures.push_back(std::move(figure));
    return absl::OkStatus();
  }
};

}  // namespace

std::unique_ptr<Experiment> MakeHintonExperiment(ExperimentRecipe recipe,
                                                 ExperimentSettings settings) {
  return std::make_unique<HintonExperiment>(std::move(recipe), settings);
}

}  // namespace distillery
