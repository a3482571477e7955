#include "coordinator/offline/state_command.h"

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/base/terminal.h"
#include "coordinator/offline/state_export.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

constexpr char kCheckExamples[] =
    "Examples:\n"
    "  coordinator state check state\n"
    "      one line for each thing that is wrong, with what can be done; exit 1 if any is damaged\n"
    "  coordinator state check state --repair\n"
    "      take out damaged rows of tasks, leases, workers and evaluations: these are made again\n"
    "  coordinator state check state --forget-run digits-3f9a1c\n"
    "      take out a run whose own rows are damaged, so that the others go on\n"
    "Stop the coordinator first, and keep a copy of the folder.";

constexpr char kExportExamples[] =
    "Examples:\n"
    "  coordinator state export state --output record.json\n"
    "      runs, rounds, tasks, leases, workers and evaluations as JSON\n"
    "  coordinator state export state --run digits-3f9a1c --weights student.safetensors\n"
    "      the newest weights of a run that are as the record says\n"
    "Works beside a running coordinator, and where one will not start; damaged rows are left out\n"
    "and named.";

}  // namespace

void StateCommand::AddTo(CommandLine* line) {
  state_ = line->AddCommand("state", "look at a state folder, mend it, take things out of it");
  state_.RequireCommand();
  check_ = state_.AddCommand(
      "check", "verify every row and every file of a folder that no coordinator uses");
  check_.Add("folder", folder_, "the state folder").Required();
  check_.Add("--repair", options_.repair, "take out damaged rows that can be made again");
  check_.Add("--forget-run", options_.forget_run, "take out all rows of this run");
  check_.Add("--json", json_, "print the findings as JSON");
  check_.Footer(kCheckExamples);
  export_ = state_.AddCommand("export", "write the record as JSON, or a run's weights");
  export_.Add("folder", folder_, "the state folder").Required();
  export_.Add("--output", output_, "file for the JSON (default: standard output)");
  const Flag run = export_.Add("--run", run_, "the run whose weights to write");
  const Flag weights = export_.Add("--weights", weights_, "safetensors file to write them to");
  run.Needs(weights);
  weights.Needs(run);
  export_.Footer(kExportExamples);
}

absl::StatusOr<int> StateCommand::Run() const { return check_.parsed() ? Check() : Export(); }

absl::StatusOr<int> StateCommand::Check() const {
  DISTILLERY_ASSIGN_OR_RETURN(const StateReport report, CheckState(folder_, options_));
  if (json_) {
    nlohmann::ordered_json findings = nlohmann::ordered_json::array();
    for (const StateFinding& finding : report.findings) {
      findings.push_back(
          {{"kind", finding.kind}, {"what", finding.what}, {"remedy", finding.remedy}});
    }
    const nlohmann::ordered_json all = {{"sound", report.sound()},
                                        {"row_count", report.row_count},
                                        {"file_count", report.file_count},
                                        {"byte_count", report.byte_count},
                                        {"findings", findings}};
    std::puts(all.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace).c_str());
  } else {
    for (const StateFinding& finding : report.findings) {
      Print(stdout, "%-8s  %s; %s\n", finding.kind.c_str(), finding.what.c_str(),
            finding.remedy.c_str());
    }
    Print(stdout,
          "%s: %lld rows and %lld files (%.1f MiB) read, %lld damaged, %lld mended, "
          "%lld left over\n",
          report.sound() ? "sound" : "DAMAGED", static_cast<long long>(report.row_count),
          static_cast<long long>(report.file_count),
          static_cast<double>(report.byte_count) / (1 << 20),
          static_cast<long long>(report.Count("damaged")),
          static_cast<long long>(report.Count("mended")),
          static_cast<long long>(report.Count("leftover")));
  }
  return report.sound() ? 0 : 1;
}

absl::StatusOr<int> StateCommand::Export() const {
  if (!weights_.empty()) {
    DISTILLERY_ASSIGN_OR_RETURN(const ExportedWeights exported,
                                ExportWeights(folder_, run_, weights_));
    if (!exported.skipped_rounds.empty()) {
      Print(stderr, "coordinator: weights of rounds %s are missing or damaged\n",
            absl::StrJoin(exported.skipped_rounds, ", ").c_str());
    }
    Print(stdout, "%s: weights of run %s after %lld rounds, SHA-256 %s\n", weights_.c_str(),
          run_.c_str(), static_cast<long long>(exported.round), exported.sha256.c_str());
    return exported.skipped_rounds.empty() ? 0 : 1;
  }
  DISTILLERY_ASSIGN_OR_RETURN(const StateExport exported, ExportState(folder_));
  if (output_.empty()) {
    std::fputs(exported.json.c_str(), stdout);
  } else {
    DISTILLERY_RETURN_IF_ERROR(WriteFileDurably(output_, exported.json));
  }
  for (const std::string& line : exported.left_out) {
    Print(stderr, "coordinator: left out: %s\n", line.c_str());
  }
  return exported.left_out.empty() ? 0 : 1;
}

}  // namespace distillery
