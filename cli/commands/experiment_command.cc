// distillery experiment: the tables and figures that show what distillation does, on one's own
// data.
#include <algorithm>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/commands/command.h"
#include "cli/experiment/experiment.h"
#include "cli/experiment/results_text.h"
#include "cli/report/report_page.h"
#include "cli/report/report_sources.h"
#include "cli/report/results.h"
#include "cli/runs/mnist_download.h"
#include "cli/runs/progress.h"
#include "common/base/files.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/base/stop_signal.h"

namespace distillery {
namespace {

constexpr int64_t kDefaultSeeds = 3;

class ExperimentCommand : public Command {
 public:
  explicit ExperimentCommand(CommandLine* parent)
      : Command(parent, "experiment",
                "Do the runs of an experiment, on this machine or by a coordinator's workers, and "
                "write its tables and figures to results.json and report.html. Without a name: "
                "what there "
                "is.",
                "  distillery experiment --list\n"
                "  distillery experiment small-data --output runs/small-data\n"
                "  distillery experiment zero-shot --omit 5 --output runs/no-five\n"
                "  distillery experiment mnist --dataset mnist --scale paper --data-dir data "
                "--output runs/paper\n"
                "Ctrl-C stops it; the same command goes on where it was.") {
    line_.Add("name", name_, absl::StrCat("one of ", absl::StrJoin(Names(), ", ")));
    line_.Add("--list", list_, "what there is");
    line_.Add("--dataset", dataset_,
              "digits (built in), mnist (downloaded if it is not in --data-dir), or any data "
              "set of --data-dir (default: digits; of --scale paper mnist)");
    line_.Add("--data-dir", data_dir_,
              "folder of data sets, such as DIR/mnist (default for mnist: data)");
    line_
        .Add("--scale", scale_,
             "quick: minutes; paper: the sizes of Hinton et al. 2015, on mnist, for hours")
        .ShowDefault();
    line_.Add("--seeds", seeds_, "students of each kind").Between(1, 100).ShowDefault();
    line_.Add("--omit", omit_,
              "zero-shot: the class that is left out, by name or number (default: 3)");
    line_.Add("--auto", automatic_,
              "sweep: search by successive halving instead of trying every pair in full");
    line_.Add("--teacher", teacher_path_,
              "TorchScript file to distill from, instead of training one");
    line_.Add("--teacher-card", teacher_card_,
              "model card (JSON) for a teacher file that carries none");
    workers_flag_ = line_
                        .Add("--workers", workers_,
                             "student_worker processes (default: one for each core, on a "
                             "GPU four at most)")
                        .Between(1, 256);
    device_flag_ =
        line_.Add("--device", device_, "where teacher and students compute: cpu, cuda or cuda:N")
            .ShowDefault();
    line_.Add("--output", folder_,
              "folder for results, models, logs and the record (default: runs/NAME)");
    line_.Add("--json", json_, "print results.json instead of the tables");
    coordinator_.AddTo(&line_);
    line_.Find("--coordinator")
        .ShowDefault("")
        .Help(
            "a coordinator whose workers do the runs, HOST:PORT (default: processes of "
            "this command's own)");
  }

  absl::Status Run() override {
    if (name_.empty() || list_) {
      PrintList();
      return absl::OkStatus();
    }
    DISTILLERY_ASSIGN_OR_RETURN(const ExperimentKind* const kind, FindExperiment(name_));
    DISTILLERY_RETURN_IF_ERROR(SetDefaults(*kind));
    if (dataset_ == "mnist") DISTILLERY_RETURN_IF_ERROR(EnsureMnist(data_dir_));
    DISTILLERY_ASSIGN_OR_RETURN(const ExperimentRecipe recipe,
                                ExperimentRecipeFor(dataset_, scale_, data_dir_));
    ExperimentSettings settings;
    settings.seeds = seeds_;
    settings.successive_halving = automatic_;
    DISTILLERY_ASSIGN_OR_RETURN(settings.omitted_class, OmittedClass(recipe));
    absl::Status done = Do(*kind, recipe, settings);
    if (absl::IsCancelled(done)) {
      return absl::CancelledError(absl::StrCat("stopped; ", ResumeHint()));
    }
    return done;
  }

 private:
  static std::vector<std::string> Names() {
    std::vector<std::string> names;
    for (const ExperimentKind& kind : KnownExperiments()) names.push_back(kind.name);
    return names;
  }

  static void PrintList() {
    std::vector<std::vector<std::string>> rows;
    size_t width = 0;
    for (const ExperimentKind& kind : KnownExperiments()) {
      width = std::max(width, kind.name.size());
    }
    for (const ExperimentKind& kind : KnownExperiments()) {
      std::printf("%-*s  %s%s\n", static_cast<int>(width), kind.name.c_str(), kind.line.c_str(),
                  kind.alias.empty() ? "" : absl::StrCat(" (also: ", kind.alias, ")").c_str());
    }
  }

  absl::Status SetDefaults(const ExperimentKind& kind) {
    if (dataset_.empty()) dataset_ = scale_ == "paper" ? "mnist" : "digits";
    if (dataset_ == "mnist" && data_dir_.empty()) data_dir_ = "data";
    if (folder_.empty()) folder_ = "runs/" + kind.name;
    if (!workers_flag_.given()) {
      workers_ = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
      // Processes take turns on a GPU, and each needs memory there.
      constexpr int kWorkersOfAGpu = 4;
      if (device_ != "cpu") workers_ = std::min(workers_, kWorkersOfAGpu);
    }
    if (!omit_.empty() && kind.name != "zero-shot") {
      return absl::InvalidArgumentError("--omit is for the experiment zero-shot");
    }
    if (automatic_ && kind.name != "sweep") {
      return absl::InvalidArgumentError("--auto is for the experiment sweep");
    }
    if (!UsesCoordinator()) return absl::OkStatus();
    for (const Flag& flag : {workers_flag_, device_flag_}) {
      if (!flag.given()) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          flag.name(), " is for processes here; --coordinator has workers of its own"));
    }
    if (teacher_path_.empty()) {
      return absl::InvalidArgumentError(
          "--coordinator needs --teacher FILE, the model that its workers' teacher serves: the "
          "figures compare with it");
    }
    return absl::OkStatus();
  }

  bool UsesCoordinator() const { return line_.Find("--coordinator").given(); }

  absl::StatusOr<std::optional<int64_t>> OmittedClass(const ExperimentRecipe& recipe) const {
    if (omit_.empty()) return std::optional<int64_t>();
    const std::vector<std::string>& names = recipe.class_names;
    for (size_t i = 0; i < names.size(); ++i) {
      if (names[i] == omit_ || absl::StrCat(i) == omit_) return static_cast<int64_t>(i);
    }
    return absl::InvalidArgumentError(UnknownName("--omit class", omit_, names));
  }

  absl::Status Do(const ExperimentKind& kind, const ExperimentRecipe& recipe,
                  const ExperimentSettings& settings) {
    LaboratoryOptions options;
    options.folder = folder_;
    options.experiment = kind.name;
    options.data_dir = data_dir_;
    options.teacher_path = teacher_path_;
    options.teacher_card = teacher_card_;
    options.workers = workers_;
    options.device = device_;
    options.seeds = seeds_;
    if (UsesCoordinator()) options.coordinator = coordinator_;
    options.resume_hint = ResumeHint();
    const std::unique_ptr<Experiment> experiment = kind.make(recipe, settings);
    DISTILLERY_ASSIGN_OR_RETURN(const auto lab,
                                Laboratory::Open(options, recipe, experiment->Plan()));
    Results results;
    results.name = kind.name;
    results.dataset = dataset_;
    results.scale = scale_;
    for (int64_t seed = 1; seed <= seeds_; ++seed) results.seeds.push_back(seed);
    results.command = ShownCommand();
    DISTILLERY_RETURN_IF_ERROR(experiment->Run(lab.get(), &results));
    DISTILLERY_RETURN_IF_ERROR(lab->folder().NoteSpent());
    results.wall_seconds = absl::ToDoubleSeconds(lab->spent());
    const std::string path = lab->folder().File("results.json");
    DISTILLERY_RETURN_IF_ERROR(WriteResults(results, path));
    DISTILLERY_ASSIGN_OR_RETURN(results, CompleteResults(folder_, lab->sources()));
    DISTILLERY_RETURN_IF_ERROR(
        WriteFileDurably(lab->folder().File("report.html"), RenderReport(results)));
    const std::string text = FormatResults(results);
    DISTILLERY_RETURN_IF_ERROR(lab->folder().WriteReadme(text, results.command));
    if (json_) {
      std::fputs(ResultsToJson(results).c_str(), stdout);
      return absl::OkStatus();
    }
    std::printf("%s\ndone in %s; everything is in %s/ (see report.html there)\n", text.c_str(),
                ShortDuration(lab->spent()).c_str(), folder_.c_str());
    return absl::OkStatus();
  }

  std::string ResumeHint() const { return absl::StrCat("to go on:\n  ", ShownCommand()); }

  // With what was given, and what decides the results.
  std::string ShownCommand() const {
    std::string line = absl::StrCat("distillery experiment ", name_, " --dataset ", dataset_,
                                    " --scale ", scale_, " --seeds ", seeds_);
    const auto add = [&line](const std::string& flag, const std::string& value) {
      if (!value.empty()) absl::StrAppend(&line, " ", flag, " ", value);
    };
    add("--omit", omit_);
    if (automatic_) absl::StrAppend(&line, " --auto");
    add("--data-dir", data_dir_);
    add("--teacher", teacher_path_);
    add("--teacher-card", teacher_card_);
    if (workers_flag_.given()) add("--workers", absl::StrCat(workers_));
    if (device_flag_.given()) add("--device", device_);
    if (UsesCoordinator()) {
      add("--coordinator", coordinator_.address);
      add("--tls-certificate", coordinator_.transport.tls_certificate);
      add("--tls-key", coordinator_.transport.tls_key);
      add("--tls-ca", coordinator_.transport.tls_ca);
      if (coordinator_.transport.insecure) absl::StrAppend(&line, " --insecure");
    }
    add("--output", folder_);
    return line;
  }

  std::string name_;
  bool list_ = false;
  std::string dataset_;
  std::string data_dir_;
  std::string scale_ = "quick";
  int64_t seeds_ = kDefaultSeeds;
  std::string omit_;
  bool automatic_ = false;
  std::string teacher_path_;
  std::string teacher_card_;
  int workers_ = 1;
  Flag workers_flag_;
  std::string device_ = "cpu";
  Flag device_flag_;
  std::string folder_;
  bool json_ = false;
  CoordinatorFlags coordinator_;
};

}  // namespace

std::unique_ptr<Command> MakeExperimentCommand(CommandLine* parent) {
  return std::make_unique<ExperimentCommand>(parent);
}

}  // namespace distillery
