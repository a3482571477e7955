// distillery demo: from nothing to a distilled student, with real processes.
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/commands/command.h"
#include "cli/report/demo_report.h"
#include "cli/runs/cluster.h"
#include "cli/runs/known_settings.h"
#include "cli/runs/local_run.h"
#include "cli/runs/mnist_download.h"
#include "cli/runs/progress.h"
#include "cli/runs/rate_search.h"
#include "cli/runs/run_folder.h"
#include "cli/runs/run_text.h"
#include "cli/runs/watched_runs.h"
#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

constexpr char kResume[] = "the same command goes on from there";

class DemoCommand : public Command {
 public:
  explicit DemoCommand(CommandLine* parent)
      : Command(parent, "demo",
                "Train a teacher, start a teacher service, a coordinator and workers on this "
                "machine, and compare a student on hard labels with the same student distilled. "
                "Both take their best learning rate from one grid, chosen on a validation part.",
                "  distillery demo\n"
                "  distillery demo --teacher mine.pt --workers 2\n"
                "  distillery demo --dataset mnist --data-dir data --output runs/mnist\n"
                "  distillery demo --seeds 10 --output runs/seeds\n"
                "Ctrl-C stops it; the same command goes on where it was.") {
    line_
        .Add("--dataset", dataset_,
             "digits (built in), or mnist (downloaded if it is not in --data-dir)")
        .ShowDefault();
    line_.Add("--data-dir", data_dir_,
              "folder of data sets, such as DIR/mnist (default for mnist: data)");
    line_.Add("--teacher", teacher_path_,
              "TorchScript file to distill from, instead of training one");
    line_.Add("--teacher-card", teacher_card_,
              "model card (JSON) for a teacher file that carries none");
    line_.Add("--workers", workers_, "student_worker processes").Between(1, 256).ShowDefault();
    line_.Add("--device", device_, "where teacher and students compute: cpu, cuda or cuda:N")
        .ShowDefault();
    line_
        .Add("--seeds", seeds_,
             "repeat both students with so many seeds and give the paired difference")
        .Between(1, 1000)
        .ShowDefault();
    line_.Add("--output", folder_, "folder for models, figures, logs and the record").ShowDefault();
    line_.Add("--json", json_, "print the figures as JSON instead of the table");
  }

  absl::Status Run() override {
    const absl::Duration start = SteadyNow();
    DISTILLERY_ASSIGN_OR_RETURN(KnownSettings settings, KnownSettingsFor(dataset_));
    if (dataset_ == "mnist") {
      if (data_dir_.empty()) data_dir_ = "data";
      DISTILLERY_RETURN_IF_ERROR(EnsureMnist(data_dir_));
    }
    DISTILLERY_RETURN_IF_ERROR(PrepareFolder());
    DemoReport report;
    report.dataset = dataset_;
    DISTILLERY_RETURN_IF_ERROR(MakeTeacher(settings.teacher));
    DISTILLERY_ASSIGN_OR_RETURN(report.teacher, Measure("teacher.pt"));
    std::fprintf(stderr, "teacher: %s\n\n", DescribeFigures(report.teacher).c_str());
    DISTILLERY_RETURN_IF_ERROR(Distill(settings, &report));
    DISTILLERY_ASSIGN_OR_RETURN(report.hard, Measure("student_hard.pt"));
    DISTILLERY_ASSIGN_OR_RETURN(report.distilled, Measure("student.pt"));
    DISTILLERY_ASSIGN_OR_RETURN(report.distilled_int8, Measure("student_int8.pt"));
    DISTILLERY_RETURN_IF_ERROR(WriteFileDurably(folder_ + "/metrics.json", ReportToJson(report)));
    DISTILLERY_RETURN_IF_ERROR(WriteResults(
        ReportToResults(
            report,
            absl::StrCat("distillery demo --dataset ", dataset_, " --seeds ", seeds_,
                         device_ == "cpu" ? "" : " --device " + device_, " --output ", folder_),
            absl::ToDoubleSeconds(SteadyNow() - start)),
        folder_ + "/results.json"));
    DISTILLERY_RETURN_IF_ERROR(WriteNote(report));
    if (json_) {
      std::fputs(ReportToJson(report).c_str(), stdout);
      return absl::OkStatus();
    }
    std::printf("\n%s\ndone in %s; everything is in %s/ (see README.txt there)\n%s",
                FormatReport(report).c_str(), ShortDuration(SteadyNow() - start).c_str(),
                folder_.c_str(), NextCommands().c_str());
    return absl::OkStatus();
  }

 private:
  // A finished demo starts anew, an interrupted one goes on.
  absl::Status PrepareFolder() {
    if (FileExists(folder_ + "/metrics.json")) {
      std::error_code ignored;
      for (const char* const part :
           {"/state", "/logs", "/teacher", "/distilled", "/hard", "/results.json"}) {
        std::filesystem::remove_all(folder_ + part, ignored);
      }
      DISTILLERY_RETURN_IF_ERROR(RemoveFile(folder_ + "/metrics.json"));
    }
    return MakeFolders(folder_);
  }

  absl::Status MakeTeacher(const RunSpec& spec) {
    const std::string path = folder_ + "/teacher.pt";
    if (!teacher_path_.empty()) {
      DISTILLERY_ASSIGN_OR_RETURN(const std::string bytes,
                                  ReadFile(teacher_path_, int64_t{16} << 30));
      return WriteFileDurably(path, bytes);
    }
    std::fprintf(stderr, "training a teacher, %s, on %s\n", spec.student.architecture.c_str(),
                 dataset_.c_str());
    LocalRun run;
    run.spec = spec;
    run.folder = folder_ + "/teacher";
    run.data_dir = data_dir_;
    run.device = device_;
    run.resume_hint = kResume;
    DISTILLERY_RETURN_IF_ERROR(DoLocalRun(run).status());
    DISTILLERY_ASSIGN_OR_RETURN(const std::string bytes,
                                ReadFile(run.folder + "/student.pt", int64_t{16} << 30));
    return WriteFileDurably(path, bytes);
  }

  // With real processes: chooses the rates, trains both students, saves those of the first seed.
  absl::Status Distill(const KnownSettings& settings, DemoReport* report) {
    Cluster::Options options;
    options.folder = folder_;
    options.data_dir = data_dir_;
    options.teacher_model = folder_ + "/teacher.pt";
    options.teacher_card = teacher_card_;
    options.workers = workers_;
    options.device = device_;
    DISTILLERY_ASSIGN_OR_RETURN(const auto cluster, Cluster::Start(options));
    std::fprintf(stderr, "teacher_service on %s, coordinator on %s, %d student_worker(s)\n",
                 cluster->teacher_address().c_str(), cluster->coordinator_address().c_str(),
                 workers_);
    CoordinatorFlags flags;
    flags.address = cluster->coordinator_address();
    DISTILLERY_ASSIGN_OR_RETURN(const RunClient client, RunClient::Connect(flags));
    DatasetCatalog datasets(data_dir_);
    const DoRuns do_runs = [&](const std::vector<RunSpec>& specs) {
      ProgressView progress(stderr);
      return WatchRuns(client, specs,
                       {cluster.get(),
                        [&](const auto& runs) { progress.Show(runs); },
                        {cluster->teacher_digest(), &datasets},
                        kResume});
    };
    StudentPair pair = MakeStudentPair(settings.student);
    std::fprintf(stderr, "choosing learning rates on the validation part of the training data\n");
    DISTILLERY_ASSIGN_OR_RETURN(report->grid, ChooseRates(do_runs, settings.rates, &pair));
    std::fprintf(stderr, "\nerrors of %d, * chosen\n%s\n",
                 static_cast<int>(report->grid.front().sample_count),
                 FormatGrid(report->grid, pair).c_str());

    std::fprintf(stderr, "training both students, %s, on all training data\n",
                 settings.student.student.architecture.c_str());
    std::vector<RunSpec> specs;
    for (int64_t seed = 1; seed <= seeds_; ++seed) {
      for (RunSpec spec : {pair.hard, pair.distilled}) {
        spec.seed = seed;
        specs.push_back(std::move(spec));
      }
    }
    DISTILLERY_ASSIGN_OR_RETURN(const std::vector<v1::Run> runs, do_runs(specs));
    for (const v1::Run& run : runs) {
      DISTILLERY_ASSIGN_OR_RETURN(v1::GetRunResponse full, client.Get(run.run_id()));
      auto& target = run.spec().loss().alpha() > 0 ? report->distilled_runs : report->hard_runs;
      target.push_back(std::move(full));
    }
    const RunSources sources = {folder_ + "/teacher.pt", teacher_card_, data_dir_};
    for (const auto& [name, run] : {std::pair("/hard", &report->hard_runs.front()),
                                    std::pair("/distilled", &report->distilled_runs.front())}) {
      DISTILLERY_RETURN_IF_ERROR(MakeFolders(folder_ + name));
      DISTILLERY_RETURN_IF_ERROR(WriteRunFolder(client, *run, folder_ + name, sources));
    }
    DISTILLERY_RETURN_IF_ERROR(
        ExportStudent(client, runs[0], -1, {folder_ + "/student_hard.pt"}).status());
    DISTILLERY_RETURN_IF_ERROR(
        ExportStudent(client, runs[1], -1, {folder_ + "/student.pt"}).status());
    return ExportStudent(client, runs[1], -1, {folder_ + "/student_int8.pt", /*int8=*/true})
        .status();
  }

  absl::StatusOr<ModelFigures> Measure(const std::string& file) const {
    ModelQuestion question;
    question.model_path = folder_ + "/" + file;
    question.dataset = {dataset_, "test", 1000};
    question.data_dir = data_dir_;
    if (file == "teacher.pt") {
      question.card_path = teacher_card_;
    } else {
      question.teacher_path = folder_ + "/teacher.pt";
      question.teacher_card_path = teacher_card_;
    }
    return MeasureModel(question);
  }

  absl::Status WriteNote(const DemoReport& report) const {
    return WriteFileDurably(
        folder_ + "/README.txt",
        absl::StrCat("distillery demo on ", dataset_, "\n\n", FormatReport(report),
                     "\nteacher.pt       the teacher, TorchScript with its model card\n"
                     "student.pt       the distilled student\n"
                     "student_int8.pt  the same with int8 weights, for small devices\n"
                     "student_hard.pt  the same student on hard labels alone\n"
                     "metrics.json     grid, figures, RunSpecs and every round of both runs\n"
                     "results.json     what distillery report draws\n"
                     "distilled/ hard/ each run's own files, with tensorboard/\n"
                     "logs/            what each process said\n"
                     "cache/           the teacher's logits, safe to delete\n"
                     "state/           the coordinator's record: sqlite3 -readonly "
                     "state/record.sqlite3\n"
                     "teacher/         the teacher's own training run, if it was trained here\n",
                     NextCommands()));
  }

  std::string NextCommands() const {
    const std::string data =
        data_dir_.empty() ? "" : absl::StrCat(" --dataset ", dataset_, " --data-dir ", data_dir_);
    return absl::StrCat(
        "\nworth trying next:\n", "  distillery evaluate ", folder_, "/student.pt --teacher ",
        folder_, "/teacher.pt", data, "\n  teacher_service --model ", folder_, "/teacher.pt",
        data_dir_.empty() ? "" : absl::StrCat(" --data-dir ", data_dir_),
        "\n  distillery run deploy/examples/digits.yaml\n"
        "  distillery report ",
        folder_, " -o report.html",
        data_dir_.empty() ? "" : absl::StrCat(" --data-dir ", data_dir_), "\n",
        "  sqlite3 -readonly ", folder_, "/state/record.sqlite3 'SELECT * FROM leases'\n");
  }

  static std::string DescribeFigures(const ModelFigures& figures) {
    v1::EvaluationMetrics metrics;
    metrics.set_sample_count(figures.metrics.sample_count);
    metrics.set_correct_count(figures.metrics.correct_count);
    return DescribeEvaluation(metrics);
  }

  std::string dataset_ = "digits";
  std::string data_dir_;
  std::string teacher_path_;
  std::string teacher_card_;
  std::string folder_ = "runs/demo";
  int workers_ = 3;
  std::string device_ = "cpu";
  int64_t seeds_ = 1;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeDemoCommand(CommandLine* parent) {
  return std::make_unique<DemoCommand>(parent);
}

}  // namespace distillery
