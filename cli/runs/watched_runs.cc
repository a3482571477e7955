#include "cli/runs/watched_runs.h"

#include "absl/strings/str_cat.h"
#include "cli/runs/run_text.h"
#include "common/base/status_macros.h"
#include "common/base/stop_signal.h"

namespace distillery {

absl::StatusOr<std::vector<v1::Run>> WatchRuns(const RunClient& client,
                                               const std::vector<RunSpec>& specs,
                                               const WatchOptions& options) {
  const auto stopped = [&] {
    return absl::CancelledError(absl::StrCat("stopped; ", options.resume_hint));
  };
  std::vector<std::string> ids;
  for (const RunSpec& spec : specs) {
    if (StopSignal::Requested()) return stopped();
    DISTILLERY_ASSIGN_OR_RETURN(const v1::Run run, client.SubmitOrResume(spec, options.inputs));
    ids.push_back(run.run_id());
  }
  if (ids.empty()) return std::vector<v1::Run>();
  std::vector<v1::Run> last;
  absl::Status health;
  DISTILLERY_RETURN_IF_ERROR(client.Watch(ids, [&](const std::vector<v1::Run>& runs) {
    if (options.show) options.show(runs);
    if (!runs.empty()) last = runs;
    if (options.cluster != nullptr) health = options.cluster->Check();
    return health.ok() && !StopSignal::Requested();
  }));
  if (StopSignal::Requested()) return stopped();
  DISTILLERY_RETURN_IF_ERROR(health);
  for (const v1::Run& run : last) DISTILLERY_RETURN_IF_ERROR(RunOutcome(run));
  return last;
}

}  // namespace distillery
