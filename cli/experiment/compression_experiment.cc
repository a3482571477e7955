// What accuracy a file of so many bytes can have: the curve from which one picks the model for a
// small device.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "cli/experiment/experiment.h"
#include "cli/experiment/mean.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

// One form of one student, over seeds.
struct Form {
  double kilobytes = 0;
  std::vector<double> accuracies;
  std::vector<double> errors;

  void Add(const ModelFigures& figures) {
    kilobytes = static_cast<double>(figures.file_bytes) / 1000;
    accuracies.push_back(100 * figures.metrics.accuracy());
    errors.push_back(
        static_cast<double>(figures.metrics.sample_count - figures.metrics.correct_count));
  }
};

class CompressionExperiment : public Experiment {
 public:
  using Experiment::Experiment;

  std::vector<RunSpec> Plan() const override {
    std::vector<RunSpec> plan = RateGrid(recipe_.rates, MakePair());
    const std::vector<RunSpec> students = OverSeeds(WidthSpecs(MakePair()), settings_.seeds);
    plan.insert(plan.end(), students.begin(), students.end());
    return plan;
  }

  absl::Status Run(Laboratory* lab, Results* results) override {
    results->title = "Accuracy by size on " + recipe_.dataset;
    results->summary =
        "Students of several widths on hard labels and on soft targets, the latter also with int8 "
        "weights: the accuracy that a file of a given size can have.";
    StudentPair pair = MakePair();
    DISTILLERY_RETURN_IF_ERROR(lab->ChooseRates(&pair));
    DISTILLERY_ASSIGN_OR_RETURN(const auto groups, lab->DoOverSeeds("students", WidthSpecs(pair)));
    ResultTable table;
    table.title = "Accuracy by size";
    table.columns = {{"hidden units", "", 0}, {"student", "", 0}, {"parameters", "", 0},
                     {"file", "KB", 1},       {"errors", "", 1},  {"accuracy", "%", 2}};
    ResultFigure figure;
    figure.title = table.title;
    figure.x = {"size of the TorchScript file", "KB", true};
    figure.y = {"accuracy on the test split", "%", false};
    figure.series.resize(3);
    const std::vector<std::string> names = {"hard labels, float32", "soft targets, float32",
                                            "soft targets, int8"};
    for (size_t i = 0; i < names.size(); ++i) figure.series[i].name = names[i];
    const ModelFigures& teacher = lab->teacher();
    table.rows.push_back(
        {"teacher", teacher.architecture, absl::StrCat(teacher.parameter_count),
         static_cast<double>(teacher.file_bytes) / 1000,
         static_cast<double>(teacher.metrics.sample_count - teacher.metrics.correct_count),
         100 * teacher.metrics.accuracy()});
    for (size_t i = 0; i < recipe_.compression_widths.size(); ++i) {
      std::vector<Form> forms(names.size());
      int64_t parameters = 0;
      for (const size_t form : {0, 1, 2}) {
        for (const FinishedRun& run : groups[2 * i + std::min<size_t>(form, 1)]) {
          DISTILLERY_ASSIGN_OR_RETURN(const ModelFigures figures,
                                      lab->MeasureStudent(run, /*int8=*/form == 2));
          forms[form].Add(figures);
          parameters = figures.parameter_count;
        }
        figure.series[form].x.push_back(forms[form].kilobytes);
        AppendMean(forms[form].accuracies, &figure.series[form]);
        table.rows.push_back({absl::StrCat(recipe_.compression_widths[i]), names[form],
                              absl::StrCat(parameters), forms[form].kilobytes,
                              MeanCell(forms[form].errors), MeanCell(forms[form].accuracies)});
      }
    }
    table.note = figure.note = absl::StrCat(
        MeansOf(settings_.seeds), " on ", teacher.metrics.sample_count,
        " test images. Files hold code and model card beside the weights, which in int8 take a "
        "quarter. All widths train at the rates chosen for ",
        recipe_.width, " hidden units; soft: ", "alpha ", recipe_.student.loss.alpha,
        ", T = ", recipe_.student.loss.temperature, ".");
    results->tables = {std::move(table), lab->grid_table()};
    results->figures = {std::move(figure)};
    for (size_t i = 1; i < groups.size(); i += 2) {
      const bool main = i == 1 || i + 1 == groups.size();
      DISTILLERY_RETURN_IF_ERROR(lab->Keep(groups[i].front(), main, results));
    }
    return absl::OkStatus();
  }

 private:
  // Hard and soft of each width, by turns.
  std::vector<RunSpec> WidthSpecs(const StudentPair& pair) const {
    std::vector<RunSpec> specs;
    for (const int64_t width : recipe_.compression_widths) {
      for (const RunSpec* const student : {&pair.hard, &pair.distilled}) {
        RunSpec spec = *student;
        absl::StrAppend(&spec.name, "-width-", width);
        spec.student.architecture = recipe_.Architecture(width);
        specs.push_back(std::move(spec));
      }
    }
    return specs;
  }
};

}  // namespace

std::unique_ptr<Experiment> MakeCompressionExperiment(ExperimentRecipe recipe,
                                                      ExperimentSettings settings) {
  return std::make_unique<CompressionExperiment>(std::move(recipe), settings);
}

}  // namespace distillery
