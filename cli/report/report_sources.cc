#include "cli/report/report_sources.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "cli/runs/run_text.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

constexpr int64_t kMaxRecordBytes = int64_t{1} << 30;

// Fields of a newer version are passed over.
template <typename Message>
absl::StatusOr<Message> ReadMessage(const std::string& path) {
  DISTILLERY_ASSIGN_OR_RETURN(const std::string json, ReadFile(path, kMaxRecordBytes));
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  Message message;
  const auto status = google::protobuf::util::JsonStringToMessage(json, &message, options);
  if (!status.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " is not what a run leaves: ", std::string(status.message())));
  }
  return message;
}

std::string Join(const std::string& folder, const std::string& path) {
  if (path.empty() || path[0] == '/') return path;
  return absl::StrCat(folder, "/", path);
}

// Panels that hold the reason alone.
std::string NoPanels(const std::string& reason) {
  nlohmann::json panels;
  panels["absent"].push_back({{"panel", "run"}, {"reason", reason}});
  return panels.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

absl::StatusOr<PanelSources> ReadRunFolder(const std::string& folder, const RunSources& sources) {
  PanelSources panels;
  panels.sources = sources;
  DISTILLERY_ASSIGN_OR_RETURN(panels.run,
                              ReadMessage<v1::GetRunResponse>(folder + "/metrics.json"));
  if (panels.run.run().run_id().empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        folder,
        "/metrics.json holds no run: give the folder of a run, or that of an experiment, "
        "which holds results.json"));
  }
  const std::string leases = folder + "/leases.json";
  if (FileExists(leases)) {
    DISTILLERY_ASSIGN_OR_RETURN(panels.leases, ReadMessage<v1::ListLeasesResponse>(leases));
  } else {
    panels.no_leases = "the folder has no leases.json: an older version made it";
  }
  if (FileExists(folder + "/student.pt")) panels.student_model = folder + "/student.pt";
  std::string& teacher = panels.sources.teacher_model;
  if (!teacher.empty()) return panels;
  if (panels.run.run().spec().loss().alpha() <= 0) return panels;
  for (const std::string& place : {panels.run.run().spec().teacher().model(),
                                   folder + "/teacher.pt", FolderOf(folder) + "/teacher.pt"}) {
    if (place.empty() || !FileExists(place)) continue;
    teacher = place;
    break;
  }
  return panels;
}

absl::StatusOr<PanelSources> ReadCoordinatorRun(const RunClient& client, const std::string& run_id,
                                                const std::string& student_path,
                                                const RunSources& sources) {
  PanelSources panels;
  panels.sources = sources;
  DISTILLERY_ASSIGN_OR_RETURN(panels.run, client.Get(run_id));
  DISTILLERY_ASSIGN_OR_RETURN(panels.leases, client.ListLeases(run_id));
  const v1::Run& run = panels.run.run();
  // Before W_0, or for a student whose file is elsewhere, the panels say that there is none.
  if (!run.weights_sha256().empty() &&
      ExportStudent(client, run, -1, {student_path}).status().ok()) {
    panels.student_model = student_path;
  }
  return panels;
}

absl::StatusOr<Results> ResultsOfRun(const PanelSources& sources, const std::string& command) {
  const v1::Run& run = sources.run.run();
  Results results;
  results.name = "run";
  results.title = absl::StrCat("Run ", run.spec().name());
  results.summary =
      absl::StrCat("Run ", run.run_id(), " ", RunStateName(run), " after ",
                   run.completed_round_count(), " of ", run.spec().training().rounds(),
                   " rounds: ", DescribeEvaluation(run.latest_evaluation()), ".");
  results.dataset = run.spec().dataset().name();
  results.seeds = {run.spec().seed()};
  results.command = command;
  if (sources.leases.has_value() && sources.leases->leases_size() > 0) {
    double end = 0;
    for (const v1::LeaseRecord& lease : sources.leases->leases()) {
      end = std::max(end, lease.ended_unix_seconds());
    }
    const double begin = sources.leases->leases(0).granted_unix_seconds();
    results.wall_seconds = std::max(0.0, end - begin);
  }
  ResultRun one;
  one.name = run.spec().name();
  one.run_id = run.run_id();
  one.seed = run.spec().seed();
  one.weights_sha256 = run.weights_sha256();
  one.main = true;
  DISTILLERY_ASSIGN_OR_RETURN(one.panels, GatherPanels(sources));
  results.runs.push_back(std::move(one));
  return results;
}

absl::StatusOr<Results> CompleteResults(const std::string& folder, const RunSources& sources) {
  const std::string path = folder + "/results.json";
  DISTILLERY_ASSIGN_OR_RETURN(Results results, ReadResults(path));
  bool changed = false;
  Results gathered = results;
  for (size_t i = 0; i < results.runs.size(); ++i) {
    ResultRun& run = results.runs[i];
    if (!run.main || !run.panels.empty()) continue;
    const std::string place = Join(folder, run.folder);
    if (run.folder.empty() || !FileExists(place + "/metrics.json")) {
      // Not written back: the folder may come again.
      run.panels =
          NoPanels(run.folder.empty() ? "the run's folder was not kept"
                                      : absl::StrCat("there is no ", place, "/metrics.json"));
      continue;
    }
    RunSources places = sources;
    if (places.teacher_model.empty()) places.teacher_model = Join(folder, run.teacher);
    DISTILLERY_ASSIGN_OR_RETURN(const PanelSources panels, ReadRunFolder(place, places));
    DISTILLERY_ASSIGN_OR_RETURN(run.panels, GatherPanels(panels));
    gathered.runs[i].panels = run.panels;
    changed = true;
  }
  if (changed) DISTILLERY_RETURN_IF_ERROR(WriteResults(gathered, path));
  return results;
}

}  // namespace distillery
