// distillery submit: a RunSpec, or a sweep of them, for a coordinator.
#include <cstdio>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/commands/remote_command.h"
#include "cli/runs/initial_weights.h"
#include "cli/runs/run_client.h"
#include "cli/runs/run_data.h"
#include "cli/runs/run_files.h"
#include "cli/runs/run_folder.h"
#include "cli/runs/run_text.h"
#include "cli/runs/spec_files.h"
#include "cli/runs/sweep_table.h"
#include "common/base/checksum.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/base/terminal.h"
#include "common/run/sweep.h"

namespace distillery {
namespace {

class SubmitCommand : public RemoteCommand {
 public:
  explicit SubmitCommand(CommandLine* parent)
      : RemoteCommand(parent, "submit", "Give a run, or a sweep of runs, to a coordinator.",
                      "  distillery submit deploy/examples/digits.yaml\n"
                      "  distillery submit run.yaml --wait --output runs/first\n"
                      "  distillery submit deploy/examples/sweep.yaml --wait\n"
                      "A RunSpec with a key `sweep` stands for a run of each combination.\n"
                      "A run that its data does not fit is refused: digits is known, other data "
                      "sets are\nlooked for in --data-dir, or asked of a teacher.") {
    line_.Add("spec", spec_path_, "the RunSpec, a YAML file").Required();
    line_.Add("--wait", wait_, "watch until the runs have ended");
    line_.Add("--output", folder_,
              "with --wait: folder for the student and the figures; of a sweep one in it for "
              "each run");
    line_.Add("--data-dir", data_.data_dir,
              "folder of data sets, such as DIR/mnist, if they are on this machine too: the "
              "spec and what its files say are compared with the data");
    line_.Add("--teacher", data_.teacher,
              "teacher service to ask of the data, HOST:PORT (default: 127.0.0.1:7001 if the "
              "coordinator is on this machine)");
    line_.Add("--request-id", request_id_, "submitting again with the same id gives the same runs");
  }

  absl::Status Run() override {
    DISTILLERY_ASSIGN_OR_RETURN(std::vector<SweptRun> swept, ReadSweep(spec_path_));
    if (!folder_.empty() && !wait_) {
      return absl::InvalidArgumentError("--output needs --wait");
    }
    const bool sweep = !swept.front().values.empty();
    const std::string request = request_id_.empty() ? RandomHex(16) : request_id_;
    DISTILLERY_RETURN_IF_ERROR(CheckFiles(&swept));
    DISTILLERY_RETURN_IF_ERROR(CheckData(&swept));
    DISTILLERY_ASSIGN_OR_RETURN(const RunClient client, RunClient::Connect(flags_));
    std::vector<v1::Run> runs;
    for (SweptRun& one : swept) {
      DISTILLERY_RETURN_IF_ERROR(UploadInitialWeights(client, &one.spec));
      // Made from the request, so that submitting again finds the same sweep.
      if (sweep) {
        one.spec.scheduling.sweep =
            absl::StrCat("sweep-", Sha256Hex(absl::StrCat(request, spec_path_)).substr(0, 6));
      }
      const std::string id =
          sweep ? Sha256Hex(absl::StrCat(request, " ", runs.size())).substr(0, 32) : request;
      DISTILLERY_ASSIGN_OR_RETURN(runs.emplace_back(), client.Submit(id, one.spec));
    }
    if (!wait_) {
      PrintIds(runs);
      return absl::OkStatus();
    }
    std::vector<std::string> run_ids;
    for (const v1::Run& run : runs) {
      Print(stderr, "run %s\n", run.run_id().c_str());
      run_ids.push_back(run.run_id());
    }
    DISTILLERY_ASSIGN_OR_RETURN(auto ended, WatchToEnd(client, run_ids));
    for (size_t i = 0; i < ended.size(); ++i) {
      v1::GetRunResponse& one = ended[i];
      SetFilePaths(swept[i].spec, one.mutable_run());
      if (folder_.empty() || one.run().state() != v1::RUN_STATE_SUCCEEDED) continue;
      DISTILLERY_RETURN_IF_ERROR(WriteRunFolder(
          client, one, sweep ? absl::StrCat(folder_, "/", one.run().spec().name()) : folder_,
          {TeacherFile(one.run().spec().teacher().model()), "", data_.data_dir}));
    }
    if (!sweep) return PrintEnded(ended.front());
    return PrintSweep(ended);
  }

 private:
  absl::Status CheckData(std::vector<SweptRun>* swept) {
    data_.teacher_is_named = !data_.teacher.empty();
    if (!data_.teacher_is_named && IsLoopback(flags_.address)) data_.teacher = "127.0.0.1:7001";
    data_.transport = flags_.transport;
    RunDataCheck check(data_);
    for (SweptRun& one : *swept) {
      DISTILLERY_RETURN_IF_ERROR(Annotate(check.Check(&one.spec), spec_path_));
    }
    return absl::OkStatus();
  }

  // The YAML file's path of the teacher is relative to it; the services' teacher may be elsewhere.
  std::string TeacherFile(const std::string& model) const {
    return model.empty() ? "" : BesideSpec(spec_path_, model);
  }

  // Before the first of them is submitted. The runs of a sweep have most files in common.
  absl::Status CheckFiles(std::vector<SweptRun>* swept) const {
    std::set<std::vector<std::string>> checked;
    for (SweptRun& one : *swept) {
      RunSpec& spec = one.spec;
      DISTILLERY_RETURN_IF_ERROR(ResolveStudent(spec_path_, &spec));
      const std::string teacher = spec.needs_teacher() ? TeacherFile(spec.teacher.model) : "";
      const std::vector<std::string> files = {spec.student.model, spec.student.initial_weights,
                                              teacher, spec.TrainingData().ToString()};
      if (!checked.insert(files).second) continue;
      DISTILLERY_RETURN_IF_ERROR(CheckRunFiles(spec, teacher, data_.data_dir));
    }
    return absl::OkStatus();
  }

  void PrintIds(const std::vector<v1::Run>& runs) const {
    if (json_) {
      std::printf("%s\n",
                  runs.size() == 1 ? ToJson(runs.front()).c_str() : SweepToJson(runs).c_str());
      return;
    }
    const std::string& sweep = runs.front().spec().scheduling().sweep();
    if (!sweep.empty()) Print(stderr, "%s: %zu runs\n", sweep.c_str(), runs.size());
    for (const v1::Run& run : runs) Print(stdout, "%s\n", run.run_id().c_str());
  }

  // The table; the outcome of the first run that did not succeed.
  absl::Status PrintSweep(const std::vector<v1::GetRunResponse>& ended) const {
    std::vector<v1::Run> runs;
    runs.reserve(ended.size());
    for (const v1::GetRunResponse& one : ended) runs.push_back(one.run());
    std::fputs((json_ ? SweepToJson(runs) : FormatSweep(runs)).c_str(), stdout);
    for (const v1::Run& run : runs) DISTILLERY_RETURN_IF_ERROR(RunOutcome(run));
    return absl::OkStatus();
  }

  std::string spec_path_;
  std::string folder_;
  std::string request_id_;
  RunDataCheck::Options data_;
  bool wait_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeSubmitCommand(CommandLine* parent) {
  return std::make_unique<SubmitCommand>(parent);
}

}  // namespace distillery
