#include "coordinator/run_loader.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/checksum.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/run/evaluation_metrics.h"
#include "common/run/sample_plan.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

// The first thing that is wrong is told.
void Damage(RunEntry* run, const std::string& what) {
  if (run->damage.empty()) run->damage = what;
}

absl::Status CheckRow(const RunRow& row) {
  if (row.state < RunState::kPending || row.state > RunState::kPaused) {
    return absl::DataLossError(
        absl::StrCat("its state is ", static_cast<int>(row.state), ", which is none"));
  }
  const auto names = nlohmann::json::parse(row.buffer_names, nullptr, /*allow_exceptions=*/false);
  if (!names.is_array() ||
      !std::all_of(names.begin(), names.end(), [](const auto& name) { return name.is_string(); })) {
    return absl::DataLossError("its buffer_names are no list of names");
  }
  return absl::OkStatus();
}

// The fields of a spec that name files where it was submitted.
template <typename Spec>
auto FilesOf(Spec& spec) {
  return std::array{&spec.teacher.model, &spec.student.model, &spec.student.initial_weights};
}

bool HasFolders(const RunSpec& spec) {
  const auto files = FilesOf(spec);
  return std::any_of(files.begin(), files.end(),
                     [](const std::string* file) { return file->find('/') != std::string::npos; });
}

std::unique_ptr<RunEntry> MakeEntry(const RunRow& row) {
  const absl::StatusOr<RunSpec> spec = RunSpecFromJson(row.spec_json);
  RunSpec unread;
  unread.name = row.run_id;
  auto run = std::make_unique<RunEntry>(row, spec.ok() ? WithoutFolders(*spec) : unread);
  run->card_sha256 = Sha256Hex(row.model_card);
  // A row of an older version; the coordinator writes it anew.
  if (spec.ok() && HasFolders(*spec)) run->row.spec_json = RunSpecToJson(run->spec);
  if (!spec.ok()) {
    Damage(run.get(),
           absl::StrCat("its spec cannot be read: ", std::string(spec.status().message())));
  }
  if (const absl::Status status = CheckRow(row); !status.ok()) {
    Damage(run.get(), std::string(status.message()));
  }
  return run;
}

absl::Status AddPlan(const PlanRow& row, RunEntry* run) {
  DISTILLERY_ASSIGN_OR_RETURN(std::vector<int64_t> sizes, ShardSizesFromText(row.shard_sizes));
  DISTILLERY_ASSIGN_OR_RETURN(SamplePlan plan, SamplePlan::Create(run->spec, std::move(sizes)));
  run->samples = std::make_shared<const SamplePlan>(std::move(plan));
  return absl::OkStatus();
}

absl::Status AddEvaluation(const EvaluationRow& row, bool newest, RunEntry* run) {
  EvaluationMetrics metrics = row.metrics;
  absl::Status status;
  // Only those of the newest are shown. A row of an older version has none.
  if (newest && !row.details_json.empty()) status = DetailsFromJson(row.details_json, &metrics);
  run->NoteEvaluation(row.round, status.ok() ? metrics : row.metrics);
  return status;
}

}  // namespace

RunSpec WithoutFolders(RunSpec spec) {
  for (std::string* const file : FilesOf(spec)) *file = BaseName(*file);
  return spec;
}

LoadedRuns LoadRuns(const Record::Contents& contents) {
  LoadedRuns loaded;
  for (const RunRow& row : contents.runs) {
    std::unique_ptr<RunEntry> run = MakeEntry(row);
    loaded.order.push_back(run.get());
    loaded.runs[row.run_id] = std::move(run);
  }
  std::sort(loaded.order.begin(), loaded.order.end(),
            [](const RunEntry* a, const RunEntry* b) { return a->row.number < b->row.number; });
  const auto find = [&](const std::string& run_id) {
    const auto found = loaded.runs.find(run_id);
    return found == loaded.runs.end() ? nullptr : found->second.get();
  };
  for (const RoundRow& row : contents.rounds) {
    if (RunEntry* const run = find(row.run_id)) run->rounds.push_back(row);
  }
  for (const PlanRow& row : contents.plans) {
    RunEntry* const run = find(row.run_id);
    // Nobody counts the samples of a run that has ended, and there may be many of those.
    if (run == nullptr || !run->damage.empty() || Ended(run->row.state)) continue;
    if (const absl::Status status = AddPlan(row, run); !status.ok()) {
      Damage(run, std::string(status.message()));
    }
  }
  for (size_t i = 0; i < contents.evaluations.size(); ++i) {
    const EvaluationRow& row = contents.evaluations[i];
    RunEntry* const run = find(row.run_id);
    if (run == nullptr) continue;
    const bool newest =
        i + 1 == contents.evaluations.size() || contents.evaluations[i + 1].run_id != row.run_id;
    if (const absl::Status status = AddEvaluation(row, newest, run); !status.ok()) {
      Damage(run, absl::StrCat("the evaluation after ", row.round,
                               " rounds cannot be read: ", std::string(status.message())));
    }
  }
  for (RunEntry* const run : loaded.order) {
    if (!run->RoundsWhole()) {
      Damage(run, absl::StrCat("table rounds has ", run->rounds.size(), " rows of run ",
                               run->row.run_id, ", its completed_rounds is ",
                               run->row.completed_rounds, ": one is missing"));
    }
    if (run->samples == nullptr && run->damage.empty() && run->spec.training.local_steps > 0) {
      auto plan = SamplePlan::Create(run->spec, {});
      if (plan.ok()) run->samples = std::make_shared<const SamplePlan>(*std::move(plan));
    }
    // Nothing is done to it until a person decides.
    if (!run->damage.empty() && !Ended(run->row.state)) run->row.state = RunState::kPaused;
  }
  return loaded;
}

}  // namespace distillery
