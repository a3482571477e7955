// distillery run: one RunSpec, all in this process.
#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "cli/commands/command.h"
#include "cli/runs/local_run.h"
#include "cli/runs/run_text.h"
#include "cli/runs/spec_files.h"
#include "common/base/status_macros.h"
#include "common/base/terminal.h"
#include "common/data/catalog.h"
#include "common/run/run_data.h"

namespace distillery {
namespace {

class RunCommand : public Command {
 public:
  explicit RunCommand(CommandLine* parent)
      : Command(parent, "run",
                "Do a run from start to end in this process: teacher, coordinator and worker, no "
                "server needed. The weights are bit for bit those of the separate services.",
                "  distillery run deploy/examples/digits.yaml\n"
                "  distillery run mnist.yaml --data-dir data --output runs/mnist --json\n"
                "Ctrl-C stops it; the same command goes on where it was.") {
    line_.Add("spec", spec_path_, "the RunSpec, a YAML file").Required();
    line_.Add("--output", folder_, "folder for the student and the figures")
        .ShowDefault("runs/NAME");
    line_.Add("--data-dir", data_dir_,
              "folder of data sets, such as DIR/mnist; digits is built in");
    line_.Add("--device", device_, "where teacher and student compute: cpu, cuda or cuda:N")
        .ShowDefault();
    line_.Add("--json", json_, "print the finished run as JSON");
  }

  absl::StatusOr<std::string> Numerics() override {
    DISTILLERY_ASSIGN_OR_RETURN(spec_, ReadRunSpec(spec_path_));
    return spec_.numerics;
  }

  absl::Status Run() override {
    LocalRun run;
    run.spec = spec_;
    DISTILLERY_RETURN_IF_ERROR(ResolveStudent(spec_path_, &run.spec));
    DISTILLERY_RETURN_IF_ERROR(ResolveClasses(&run.spec));
    std::string& model = run.spec.teacher.model;
    if (spec_.needs_teacher()) {
      if (model.empty()) {
        return absl::InvalidArgumentError(absl::StrCat(
            spec_path_, ": loss.alpha is ", spec_.loss.alpha,
            " but teacher.model is missing: name a TorchScript file (distillery train-teacher "
            "makes one), or set loss.alpha to 0"));
      }
      model = BesideSpec(spec_path_, model);
    }
    run.folder = folder_.empty() ? "runs/" + spec_.name : folder_;
    run.data_dir = data_dir_;
    run.device = device_;
    run.resume_hint = "the same command goes on from there";
    DISTILLERY_ASSIGN_OR_RETURN(const v1::GetRunResponse ended, DoLocalRun(run));
    if (json_) {
      std::printf("%s\n", ToJson(ended).c_str());
    } else {
      Print(stdout, "%s: %s\nweights SHA-256 %s\nstudent in %s/student.pt\n", spec_.name.c_str(),
            DescribeEvaluation(ended.run().latest_evaluation()).c_str(),
            ended.run().weights_sha256().c_str(), run.folder.c_str());
    }
    return absl::OkStatus();
  }

 private:
  absl::Status ResolveClasses(RunSpec* spec) const {
    if (spec->dataset.exclude_class_names.empty()) return absl::OkStatus();
    DatasetCatalog catalog(data_dir_);
    DISTILLERY_ASSIGN_OR_RETURN(const auto training, catalog.Open(spec->TrainingData()));
    return Annotate(ResolveClassNames(training->class_names(), spec), spec_path_);
  }

  std::string spec_path_;
  std::string folder_;
  std::string data_dir_;
  std::string device_ = "cpu";
  bool json_ = false;
  RunSpec spec_;
};

}  // namespace

std::unique_ptr<Command> MakeRunCommand(CommandLine* parent) {
  return std::make_unique<RunCommand>(parent);
}

}  // namespace distillery
